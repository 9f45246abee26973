"""A loss that isn't histsearch's own is tried with the values of a space before a study has it."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from histsearch.exceptions import SpaceError
from histsearch.losses.known_losses import loss_provider
from histsearch.losses.loss_record import LossRecord
from histsearch.space.configuration import Configuration, Value, own_name
from histsearch.space.contradictions import lone_images_faults, reason_of_clash
from histsearch.space.known_parameters import is_storable, known_parameters
from histsearch.space.parameters import Range, tried_values
from histsearch.space.refusals import RefusedError, joined, refused, show
from histsearch.space.space import Space


def loss_faults(space: Space, loss: LossRecord[Any, Any]) -> Iterator[RefusedError]:
    """The defaults that a study can't keep, else the values that a loss can't be trained with.

    Each value of a list and each end of a range is tried, the other parameters at their first; and
    each baseline.
    """
    faults = [*_default_faults(space, loss)]
    yield from faults
    if not faults:
        yield from _value_faults(space, loss)


def _default_faults(space: Space, loss: LossRecord[Any, Any]) -> Iterator[RefusedError]:
    provider = loss_provider(space.loss.name)
    package = "" if provider is None else f" of the package {provider.package}"
    for name, field in loss.parameters.model_fields.items():
        if field.is_required() or field.default is None or is_storable(field.default):
            continue
        has = "a default_factory" if field.default_factory else f"the default {show(field.default)}"
        yield refused(
            "loss.name",
            f'the loss "{loss.name}"{package}, whose parameter {name} has {has}',
            "a number, a word or a switch as default",
        )


def _value_faults(space: Space, loss: LossRecord[Any, Any]) -> Iterator[RefusedError]:
    searched = {name: tried_values(one) for name, one in _own(space.search).items()}
    fixed = _own(space.fixed)
    first = {**fixed, **{name: several[0] for name, several in searched.items()}}
    reason = _failure(loss, first)
    if reason is not None:
        yield _first_fault(space, loss, first, reason)
        return
    for name, several in searched.items():
        for value in several[1:]:
            reason = _failure(loss, {**first, name: value})
            if reason is not None:
                yield _unsuitable(f"search.{name}", value, reason)
    for number, baseline in enumerate(space.baselines):
        values = {**fixed, **_own(baseline.values)}
        reason = _failure(loss, values)
        if reason is not None:
            yield _unsuitable(f"baseline[{number}]", values, reason)


def _first_fault(
    space: Space, loss: LossRecord[Any, Any], first: Mapping[str, Value], reason: str
) -> RefusedError:
    """The first parameter whose value can't be trained with, the others at their defaults."""
    required = known_parameters(loss.parameters).required
    needed = {name: value for name, value in first.items() if name in required}
    if _failure(loss, needed) is not None:
        first = needed if len(needed) == 1 else {}
    for name, value in first.items():
        reason_alone = _failure(loss, {**needed, name: value})
        if reason_alone is not None:
            table = "search" if name in space.search else "fixed"
            return _unsuitable(f"{table}.{name}", value, reason_alone)
    return _unsuitable("loss.name", str(space.loss), reason)


def _unsuitable(key: str, value: Value | Mapping[str, Value], reason: str) -> RefusedError:
    return refused(key, show(value), f"values that suit it, but {reason}")


def _failure(loss: LossRecord[Any, Any], values: Mapping[str, Value]) -> str | None:
    """Why a loss can't be trained with these values of its own parameters; None if it can."""
    try:
        _try(loss, known_parameters(loss.parameters).complete(values))
    except SpaceError as error:
        return str(error)
    except ValidationError as error:
        return reason_of_clash(error)
    return None


def _try(loss: LossRecord[Any, Any], completed: Configuration) -> None:
    from histsearch.losses.trial_batch import try_loss

    try_loss(loss, loss.parameters(**completed.loss))


def _own(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if own_name(name) is not None}


def check_trainable(loss: LossRecord[Any, Any], completed: Configuration) -> None:
    """Check that a loss that isn't histsearch's own can be trained with a configuration.

    Raises:
        SpaceError: It can't.
    """
    faults = joined(lone_images_faults(loss, completed.training.images_per_class))
    if faults.lines:
        raise SpaceError(*faults.lines)
    try:
        _try(loss, completed)
    except SpaceError as error:
        raise SpaceError(
            f"found {show(completed.loss)}, allowed: values that suit the loss, but {error}"
        ) from error


def self_contained(space: Space, loss: LossRecord[Any, Any]) -> Space:
    """A space that reads the same where its loss is missing.

    It fixes each of the loss's parameters that it doesn't search, gives its baselines the others,
    and writes the ends of a range as whole numbers only where the range holds no others.
    """
    known = known_parameters(loss.parameters)
    own = _own(known.defaults)
    defaults = {name: value for name, value in own.items() if name not in space.search}
    searched = {name: value for name, value in own.items() if name in space.search}
    search = {
        name: one.of_floats()
        if isinstance(one, Range) and not known.is_whole(name, one.numbers)
        else one
        for name, one in space.search.items()
    }
    return space.model_copy(
        update={
            "search": search,
            "fixed": {**defaults, **space.fixed},
            "baseline": tuple({**searched, **table} for table in space.baseline),
        }
    )
