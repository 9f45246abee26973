"""What searches differ in besides their loss and that loss's own parameters.

A loss's result depends on how long and how well it was tuned, and on all that training takes beside
it. So losses are compared where these are the same (Musgrave et al., "A Metric Learning Reality
Check", ECCV 2020).
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from histsearch.models.known_backbones import BACKBONES
from histsearch.space.configuration import TrainingParameters
from histsearch.space.parameters import Range
from histsearch.space.refusals import show
from histsearch.space.space import Decided, Space
from histsearch.space.trained_space import TrainedSpace

_SAME_KEYS = (
    *("dataset", "backbone", "weights", "epochs", "sampler", "pruner"),
    *("on_bad_image", "image_size_cap", "precision", "determinism"),
)
_NONE = "none"


class Tuning(NamedTuple):
    """How a search is tuned.

    Attributes:
        space: Its space.
        trials: Its budget, which may be another than the space's.
        gpu_hours: Hours that its trials may take together; None for no limit.
        decided: The rule for its winner; None for none.
        warm_start: The earlier studies that it learned from.
    """

    space: Space
    trials: int
    gpu_hours: float | None
    decided: Decided | None
    warm_start: Sequence[str] = ()


class Difference(NamedTuple):
    """A key that searches have different values of.

    Attributes:
        key: It, as a space names it.
        values: The value of each search, as a space writes it.
    """

    key: str
    values: Sequence[str]

    def __str__(self) -> str:
        """It in a sentence: "epochs 6 and 8"."""
        return f"{self.key} {' and '.join(self.values)}"


def differences(tunings: Sequence[Tuning]) -> list[Difference]:
    """What some searches differ in besides their loss and that loss's own parameters.

    These are data set, backbone, weights, epochs, budget, sampler, pruner and what ends the search,
    the protocol, how images are handled, precision, determinism and a warm start. Parameters that
    every loss has, such as ``lr``, must be fixed to the same value, or searched over the same
    values. Names, ``[[enqueue]]``, ``[[baseline]]`` and ``max_retries`` may differ.
    """
    tables = [_what_counts(one) for one in tunings]
    return [
        Difference(key, [_text(table[key]) for table in tables])
        for key in tables[0]
        if any(table[key] != tables[0][key] for table in tables)
    ]


def same_hyperparameters(first: TrainedSpace, second: TrainedSpace) -> bool:
    """Whether two spaces of one loss search, and fix, all parameters alike, its own as well."""
    every = {**first.parameters.defaults, **first.fixed, **first.search}
    every |= {**second.fixed, **second.search}
    return all(_taken(first, name) == _taken(second, name) for name in every)


def _what_counts(tuning: Tuning) -> dict[str, Any]:
    space = tuning.space
    return {
        **{key: getattr(space, key) for key in _SAME_KEYS},
        "trials": tuning.trials,
        "gpu_hours": tuning.gpu_hours,
        "decided": tuning.decided,
        **{f"protocol.{key}": value for key, value in space.protocol},
        **_common_parameters(space),
        "warm start": frozenset(tuning.warm_start),
    }


def _common_parameters(space: Space) -> Mapping[str, Any]:
    """Of each parameter that every loss has, its values; None for the usual of timm's backbones."""
    return {name: _taken(space, name) for name in TrainingParameters.model_fields}


def _taken(space: TrainedSpace, name: str) -> object:
    """The values that a parameter takes in a space; a default counts as if it were written."""
    backbone = BACKBONES.get(space.backbone)
    own = {} if backbone is None else backbone.preprocessing.hyperparameters
    known = {**own, **space.parameters.defaults, **space.fixed}
    return _values(space.search.get(name, known.get(name)))


def _values(found: object) -> object:
    """The values of a list, whose order is all the same; one alone is as if it were fixed."""
    if not isinstance(found, tuple):
        return found
    return found[0] if len(found) == 1 else frozenset(found)


def _text(value: object) -> str:
    """A value as a space writes it."""
    match value:
        case None:
            return _NONE
        case frozenset():
            return _whole(sorted(value)) if value else _NONE
        case BaseModel():
            table = value.model_dump(exclude_none=True, exclude_defaults=isinstance(value, Range))
            return _whole(table["name"] if [*table] == ["name"] else table)
    return _whole(value)


def _whole(value: object) -> str:
    """A value uncut, as two that differ must look so."""
    return show(value, sys.maxsize)
