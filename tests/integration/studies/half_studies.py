"""Studies as histsearch 0.1.0 left them when it was killed while it created them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import optuna

from histsearch.database.storage import Storage
from histsearch.space.space import Space
from histsearch.studies.definition import SearchDefinition, StudyDefinition, new_key
from histsearch.studies.stages import PAUSED
from histsearch.studies.study import BUDGET, DEFINITION, SELECTION


class Run(NamedTuple):
    """An enqueued trial."""

    params: dict[str, Any]
    attributes: dict[str, Any]


def half_search(
    storage: Storage, space: Space, *, name: str, enqueued: Sequence[dict[str, Any]] | None
) -> optuna.Study:
    """A search that was killed after some of its queue, or before its definition (None)."""
    definition = SearchDefinition(version="0.1.0", key=new_key(), space=space)
    runs = None if enqueued is None else [Run(params, {}) for params in enqueued]
    return _half(storage, name, definition, space.trials, runs)


def half_retraining(
    storage: Storage,
    definition: StudyDefinition,
    *,
    name: str,
    budget: int,
    runs: Sequence[Run],
) -> optuna.Study:
    """A retraining that was killed after some of its runs."""
    return _half(storage, name, definition, budget, runs)


def _half(
    storage: Storage,
    name: str,
    definition: StudyDefinition,
    budget: int,
    runs: Sequence[Run] | None,
) -> optuna.Study:
    study = optuna.create_study(storage=storage.optuna, study_name=name, direction="maximize")
    study.set_user_attr(PAUSED, True)
    study.set_user_attr(BUDGET, budget)
    study.set_user_attr(SELECTION, definition.selection)
    if runs is None:
        return study
    study.set_user_attr(DEFINITION, definition.model_dump(mode="json"))
    for run in runs:
        study.enqueue_trial(run.params, user_attrs=run.attributes)
    return study
