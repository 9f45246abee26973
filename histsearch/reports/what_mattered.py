"""Which parameters of a search mattered, and at which edges of the space its winner lies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from histsearch.search.standing import Share
from histsearch.space.known_parameters import KnownParameters
from histsearch.space.parameters import Parameter, Range
from histsearch.space.trained_space import TrainedSpace
from histsearch.wording import value_text

_MATTERS = 0.05  # of the variance: a pair with such a share is named, and an edge if it is sure
_FEWEST_VALUES = 3  # of a list: the best of two always lies at an edge
_NEAR = 1 / 64  # of a range: values so close to its end count as there
_BEYOND = 0.01  # of a value: how much farther a wider range would go at least


@dataclass(frozen=True)
class WhatMattered:
    """Which parameters of a search mattered.

    Attributes:
        parameters: The share of each, the largest first; empty where that isn't known.
        pairs: Those of the pairs that interact, the largest first.
        edges: The winner's values that lie at an edge, a sentence each.
        other_edges: Those at an edge whose parameters hardly matter, or may not; a sentence each.
    """

    parameters: Sequence[Share] = ()
    pairs: Sequence[Share] = ()
    edges: Sequence[str] = ()
    other_edges: Sequence[str] = ()


def what_mattered(
    space: TrainedSpace, shares: Sequence[Share], best: Mapping[str, Any] | None
) -> WhatMattered:
    """Which parameters of a search mattered.

    Args:
        space: What was searched.
        shares: As its standing has them; empty where that isn't known.
        best: The winner's configuration; None where that says too little yet.
    """
    return WhatMattered(
        [one for one in shares if len(one.parameters) == 1],
        [one for one in shares if len(one.parameters) == 2 and one.share >= _MATTERS],
        [] if best is None else _edges(space, shares, best),
        [] if best is None else _other_edges(space, shares, best),
    )


def shares_text(shares: Sequence[Share]) -> str:
    """Shares in words: "lr 62% (41% to 80%), alpha with tau 9% (2% to 21%)"."""
    return ", ".join(
        f"{' with '.join(one.parameters)} {one.share:.0%} ({one.low:.0%} to {one.high:.0%})"
        for one in shares
    )


def _edges(space: TrainedSpace, shares: Sequence[Share], best: Mapping[str, Any]) -> list[str]:
    """A sentence for each value at an edge that could be wider, of parameters sure to matter."""
    idle = _not_sure_to_matter(space, shares)
    found = (
        edge_sentence(name, parameter, best[name], space.loss.parameters)
        for name, parameter in space.search.items()
        if name in best and name not in idle
    )
    return [sentence for sentence in found if sentence is not None]


def _other_edges(
    space: TrainedSpace, shares: Sequence[Share], best: Mapping[str, Any]
) -> list[str]:
    """The same of the other parameters."""
    may_matter = {name for one in shares if one.high > _MATTERS for name in one.parameters}
    idle = _not_sure_to_matter(space, shares)
    found = []
    for name in (name for name in space.search if name in best and name in idle):
        edge = _edge(name, space.search[name], best[name], space.loss.parameters)
        doubt = f"whether {name} matters isn't sure yet"
        if edge is not None:
            found.append(f"{edge}; {doubt if name in may_matter else f'{name} hardly matters'}")
    return found


def _not_sure_to_matter(space: TrainedSpace, shares: Sequence[Share]) -> set[str]:
    """Names of parameters; none where nothing is known of any."""
    matter = {name for one in shares if one.low >= _MATTERS for name in one.parameters}
    return set(space.search).difference(matter) if shares else set()


def edge_sentence(
    name: str, parameter: Parameter, value: object, known: KnownParameters
) -> str | None:
    """What to say of a value at an edge of a list of numbers or a range; None of any other.

    Args:
        name: The parameter.
        parameter: The list or range.
        value: One of its values.
        known: Says whether values beyond the edge could be searched.
    """
    found = _edge(name, parameter, value, known)
    return None if found is None else f"{found}: widen it"


def _edge(name: str, parameter: Parameter, value: object, known: KnownParameters) -> str | None:
    """At which edge a value lies; the arguments are those of `edge_sentence`."""
    values = (parameter.low, parameter.high) if isinstance(parameter, Range) else parameter
    numbers = [one for one in values if _is_number(one)]
    too_few = not isinstance(parameter, Range) and len(numbers) < _FEWEST_VALUES
    if too_few or len(numbers) < len(values) or not _is_number(value):
        return None
    low, high = min(numbers), max(numbers)
    for end, word, sign in ((low, "smallest", -1), (high, "largest", 1)):
        if not known.is_valid_value(name, _beyond(end, sign)):
            continue
        if value == end:
            return f"{name} = {value_text(value)} is the {word} value allowed"
        if isinstance(parameter, Range) and _apart(parameter, value, end) < _NEAR:
            return (
                f"{name} = {value_text(value)} is next to the {word} value allowed, "
                f"{value_text(end)}"
            )
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _beyond(end: Any, sign: int) -> int | float:
    """A value a little beyond an end: the next whole number, or one a hundredth away."""
    if isinstance(end, int):
        return end + sign
    return float(end + sign * _BEYOND * (abs(end) or 1.0))


def _apart(parameter: Range, value: Any, end: Any) -> float:
    """How far a value lies from an end, as a part of the range on its scale."""
    ends = [float(one) for one in (parameter.low, parameter.high, value, end)]
    low, high, one, other = map(math.log, ends) if parameter.log else ends
    return abs(one - other) / (high - low)
