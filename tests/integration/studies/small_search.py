"""A search small enough to be told by hand."""

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from histsearch.space.reading import parse_space
from histsearch.space.space import Space
from histsearch.studies.study import Study
from histsearch.studies.trial_record import BEST_EPOCH
from tests.integration.claims import claimed

ENQUEUED = {"alpha": 0.9, "lr": 0.0001, "batch_size": 16}

_TABLE = {
    "name": "small",
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": 10,
    "trials": 3,
    "sampler": "tpe",
    "search": {
        "alpha": [0.9, 1.0, 1.1],
        "lr": {"low": 1e-5, "high": 1e-2, "log": True},
        "batch_size": [8, 16, 32],
    },
    "enqueue": [ENQUEUED],
}


def small_space(**changes: Any) -> Space:
    return parse_space({**_TABLE, **changes}, source="small.toml")


def complete_next(study: Study, value: float, *, best_epoch: int = 1) -> FrozenTrial:
    """Have the next trial reach ``value`` after ``best_epoch``, a little less before and after."""
    epochs = range(1, study.definition.space.epochs + 1)
    return complete_with(
        study, {epoch: value * (1.0 - 0.02 * abs(epoch - best_epoch)) for epoch in epochs}
    )


def complete_with(study: Study, curve: Mapping[int, float]) -> FrozenTrial:
    """Have the next trial report scores by epoch, and end with the best of it."""
    claim = claimed(study)
    best_epoch = max(curve, key=lambda epoch: curve[epoch])
    claim.record({BEST_EPOCH: best_epoch}, curve)
    claim.tell(TrialState.COMPLETE, curve[best_epoch])
    return study.storage.optuna.get_trial(claim.trial._trial_id)
