import math

import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.studies.catalog import create_search
from histsearch.studies.running_curves import RunningCurve, running_curves
from histsearch.studies.study import Study
from tests.integration.claims import claimed
from tests.integration.studies.small_search import small_space


@pytest.fixture
def study(storage: Storage) -> Study:
    return create_search(storage, small_space(trials=6))


def test_the_curves_of_running_trials_stand_beside_the_best(study: Study) -> None:
    ended = claimed(study)
    ended.record({}, {1: 0.5, 2: 0.75, 3: 0.7})
    ended.tell(TrialState.COMPLETE, 0.75)
    worse = claimed(study)
    worse.record({}, {1: 0.6})
    worse.tell(TrialState.PRUNED, None)
    runs = claimed(study)
    runs.record({}, {1: 0.25, 2: math.nan})
    claimed(study)  # it has no score yet
    best, running = running_curves(study.storage, ["small"])
    assert best == RunningCurve("small", 0, [0.5, 0.75, 0.7], runs=False, is_best=True)
    assert (running.trial, running.runs, running.is_best) == (2, True, False)
    assert running.scores[0] == 0.25
    assert math.isnan(running.scores[1])


def test_a_running_trial_may_be_the_best(study: Study) -> None:
    runs = claimed(study)
    runs.record({}, {1: 0.25})
    assert running_curves(study.storage, ["small"]) == [
        RunningCurve("small", 0, [0.25], runs=True, is_best=True)
    ]


def test_studies_that_are_not_asked_for_and_new_ones_have_no_curves(study: Study) -> None:
    assert running_curves(study.storage, ["small"]) == []
    claimed(study).record({}, {1: 0.25})
    assert running_curves(study.storage, []) == []
    assert running_curves(study.storage, ["another"]) == []
