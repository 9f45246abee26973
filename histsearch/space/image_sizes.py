"""Sizes of images that a backbone can't take, among those that a space names."""

from collections.abc import Iterable, Iterator, Mapping

from histsearch.models.backbone import Backbone
from histsearch.space.configuration import Value
from histsearch.space.parameters import Parameter, Range
from histsearch.space.refusals import RefusedError, refused, show

_NAME = "image_size"


def image_size_faults(
    search: Mapping[str, Parameter], fixed: Mapping[str, Value], backbone: Backbone
) -> Iterator[RefusedError]:
    """A fault for each table whose size of images the backbone can't take.

    Of a range both ends are looked at, and the size after the first.
    """
    if _NAME in search:
        parameter = search[_NAME]
        within = f" of {parameter}" if isinstance(parameter, Range) else ""
        for size in _sizes(parameter):
            if not backbone.image_sizes.hold(size):
                yield _fault(f"search.{_NAME}", f"{size}{within}", backbone)
                break
    if _NAME in fixed and not backbone.image_sizes.hold(int(fixed[_NAME])):
        yield _fault(f"fixed.{_NAME}", show(fixed[_NAME]), backbone)


def baseline_size_faults(
    baselines: Iterable[Mapping[str, Value] | None], backbone: Backbone
) -> Iterator[RefusedError]:
    """A fault for each table [[baseline]] whose size of images the backbone can't take."""
    for number, table in enumerate(baselines):
        size = None if table is None else table.get(_NAME)
        if size is not None and not backbone.image_sizes.hold(int(size)):
            yield _fault(f"baseline[{number}].{_NAME}", show(size), backbone)


def image_size_fault(size: int | None, backbone: Backbone) -> RefusedError | None:
    """Why a backbone can't take images of that size; None if it can, or the size is its own."""
    if size is None or backbone.image_sizes.hold(size):
        return None
    return _fault(_NAME, show(size), backbone)


def _fault(key: str, found: str, backbone: Backbone) -> RefusedError:
    return refused(key, found, f"for {backbone.name} {backbone.image_sizes.words}")


def _sizes(parameter: Parameter) -> Iterator[int]:
    if isinstance(parameter, Range):
        # Where a network takes multiples alone, the second size tells.
        yield int(parameter.low)
        yield int(parameter.low + (parameter.step or 1))
        yield int(parameter.high)
    else:
        yield from (int(size) for size in parameter)
