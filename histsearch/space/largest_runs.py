"""The runs of a space that take the most time and memory with a batch size."""

from histsearch.space.configuration import Value
from histsearch.space.parameters import Range, tried_values
from histsearch.space.space import Space

_BATCH_SIZE = "batch_size"
_WARMUP_EPOCHS = "warmup_epochs"
_SIZES = ("embedding_size", "image_size", _WARMUP_EPOCHS)
"""Parameters of every run that a run takes the longer with, the larger they are."""


def batch_sizes(space: Space) -> list[int]:
    """The batch sizes of a space, ascending; of a range its ends, and halves of the higher one."""
    parameter = space.search.get(_BATCH_SIZE)
    if parameter is None:
        return [int(space.fixed.get(_BATCH_SIZE, space.parameters.defaults[_BATCH_SIZE]))]
    if not isinstance(parameter, Range):
        return sorted(int(size) for size in parameter)
    low, step = int(parameter.low), int(parameter.step or 1)
    sizes, size = {low}, int(parameter.high)
    while size > low:
        sizes.add(low + (size - low) // step * step)
        size //= 2
    return sorted(sizes)


def largest_run(space: Space, batch_size: int) -> dict[str, Value]:
    """A value for each searched parameter: the largest of those that time and memory grow with.

    The others are those of the first configuration that the space enqueues, else the first of
    their lists, or the lowest.
    """
    usual = {name: tried_values(parameter)[0] for name, parameter in space.search.items()}
    enqueued = space.enqueue[0] if space.enqueue else {}
    sizes = {
        name: max(tried_values(space.search[name]), key=float)
        for name in (*_SIZES, *space.loss.sizes)
        if name in space.search
    }
    batch = {_BATCH_SIZE: batch_size} if _BATCH_SIZE in space.search else {}
    return {**usual, **enqueued, **sizes, **batch}
