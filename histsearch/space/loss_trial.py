"""A loss that isn't histsearch's own is tried with the values of a space before a study has it."""

from collections.abc import Iterator, Mapping
from typing import Any

from histsearch.exceptions import SpaceError
from histsearch.losses.loss_record import LossRecord
from histsearch.space.configuration import Value, own_name
from histsearch.space.known_parameters import known_parameters
from histsearch.space.parameters import Range
from histsearch.space.refusals import RefusedError, refused, show
from histsearch.space.space import Space


def loss_faults(space: Space, loss: LossRecord[Any, Any]) -> Iterator[RefusedError]:
    """The values with which a loss can't be built or trained.

    Each value of a list and each end of a range is tried, the other parameters at their first.
    """
    values = {
        name: (one.low, one.high) if isinstance(one, Range) else one
        for name, one in space.search.items()
        if own_name(name) is not None
    }
    first = {name: several[0] for name, several in values.items()}
    reason = _failure(space, loss, first)
    if reason is not None:
        yield refused("loss.name", show(str(space.loss)), f"values that suit it, but {reason}")
        return
    for name, several in values.items():
        for value in several[1:]:
            reason = _failure(space, loss, {**first, name: value})
            if reason is not None:
                yield refused(f"search.{name}", show(value), f"values that suit it, but {reason}")


def _failure(space: Space, loss: LossRecord[Any, Any], values: Mapping[str, Value]) -> str | None:
    from histsearch.losses.trial_batch import try_loss

    known = known_parameters(loss.parameters)
    own = {name: value for name, value in space.fixed.items() if own_name(name) is not None}
    try:
        try_loss(loss, loss.parameters(**known.complete({**own, **values}).loss))
    except SpaceError as error:
        return str(error)
    return None


def self_contained(space: Space, loss: LossRecord[Any, Any]) -> Space:
    """A space that reads the same where its loss is missing.

    It fixes each of the loss's parameters that it doesn't search, and writes the ends of a range
    as whole numbers only where the range holds no others.
    """
    known = known_parameters(loss.parameters)
    defaults = {
        name: value
        for name, value in known.defaults.items()
        if own_name(name) is not None and name not in space.search
    }
    search = {
        name: one.of_floats()
        if isinstance(one, Range) and not known.is_whole(name, one.numbers)
        else one
        for name, one in space.search.items()
    }
    return space.model_copy(update={"search": search, "fixed": {**defaults, **space.fixed}})
