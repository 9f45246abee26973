"""What figures read of searches at every stage, and why there is nothing to show."""

from typing import Any

from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.learning_curves import learning_curves
from histsearch.figures.pair_heat_maps import pair_heat_maps
from histsearch.figures.search_history import search_history
from histsearch.figures.searched_study import SearchedStudy, searched_study
from histsearch.figures.slices import slices
from histsearch.reports.winner import judge
from histsearch.space.parameters import Range
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.retraining import create_retraining
from histsearch.studies.stages import TrialStage
from histsearch.studies.study import Study
from histsearch.studies.trial_record import ACCELERATED, SECONDS
from tests.integration.claims import claimed
from tests.integration.statements import statements_on
from tests.integration.studies.small_search import complete_with, small_space

FIGURES = (search_history, learning_curves, slices, pair_heat_maps)


def search(storage: Storage, **changes: Any) -> Study:
    return create_search(storage, small_space(**{"epochs": 4, "trials": 6, **changes}))


def figures(found: SearchedStudy) -> list[Drawn | Missing]:
    return [figure(found) for figure in FIGURES]


def test_trials_of_all_stages_are_read(storage: Storage) -> None:
    study = search(storage)
    claim = claimed(study)
    claim.record({SECONDS: 1800.0, ACCELERATED: True}, {1: 0.4, 2: 0.6, 3: float("nan"), 4: 0.5})
    claim.tell(TrialState.COMPLETE, 0.6)
    claim = claimed(study)
    claim.record({SECONDS: 900.0}, {1: 0.3})
    claim.pause()
    claim = claimed(study)
    claim.record({SECONDS: 900.0}, {1: 0.2})
    claim.tell(TrialState.PRUNED, 0.2)
    claimed(study).tell(TrialState.FAIL)
    running = claimed(study)
    running.record({}, {1: 0.5})

    winner = judge(study).winner
    assert winner is not None
    found = searched_study(study, winner.parameters)

    assert [trial.stage for trial in found.trials] == [
        TrialStage.COMPLETE,
        TrialStage.PAUSED,
        TrialStage.PRUNED,
        TrialStage.FAILED,
        TrialStage.RUNNING,
    ]
    first, paused, _, failed, runs = found.trials
    assert first.curve == {1: 0.4, 2: 0.6, 4: 0.5}
    assert [trial.score for trial in found.trials] == [0.6, 0.3, 0.2, None, 0.5]
    assert [trial.hours for trial in (first, paused, failed)] == [0.5, 0.25, 0.0]
    assert first.ended is not None
    assert paused.ended is not None
    assert first.ended < paused.ended
    assert runs.ended is None
    assert found.is_winners(first)
    assert (found.objective, found.scored_on) == ("R@1", "validation classes")
    assert found.hours_unit == "GPU-hours"
    assert all(isinstance(one, Drawn) for one in figures(found)), figures(found)


def test_the_number_of_queries_does_not_grow_with_the_trials(storage: Storage) -> None:
    study = search(storage)
    asked = []
    for value in (0.3, 0.4, 0.5):
        complete_with(study, {1: value})
        with statements_on(storage) as statements:
            searched_study(find_study(storage, study.name), None)
        asked.append(len(statements))
    assert asked[0] == asked[2] < 12


def test_a_retraining_and_an_empty_search_say_why_there_is_nothing(storage: Storage) -> None:
    study = search(storage, enqueue=[])
    for figure in figures(searched_study(study, None)):
        assert isinstance(figure, Missing)
        assert figure.reason == "The search has no trial yet."
    complete_with(study, {1: 0.5, 2: 0.6})
    one = figures(searched_study(study, None))
    assert [type(figure) for figure in one] == [Missing, Drawn, Missing, Missing]
    retraining = create_retraining(study, top=1, seeds=2)
    assert not searched_study(retraining, None).trials


def test_a_failed_search_says_that_no_trial_has_a_score(storage: Storage) -> None:
    study = search(storage)
    for _ in range(2):
        claimed(study).tell(TrialState.FAIL)
    for figure in figures(searched_study(study, None)):
        assert isinstance(figure, Missing)
        assert figure.reason == "None of the search's 2 trials has a score."


def test_a_grid_is_drawn(storage: Storage) -> None:
    parameters = {"tau": [4, 8], "alpha": [0.9, 1.1]}
    grid = {"sampler": "grid", "pruner": "none", "trials": 4, "enqueue": []}
    study = search(storage, search=parameters, **grid)
    for value in (0.3, 0.4, 0.5, 0.6):
        complete_with(study, {1: value, 2: value})
    found = searched_study(study, {"tau": 8, "alpha": 1.1})
    assert all(isinstance(one, Drawn) for one in figures(found))


def test_a_range_of_real_numbers_has_real_ends(storage: Storage) -> None:
    parameters = {
        "lambda_s": {"low": 1, "high": 4},
        "batch_size": {"low": 8, "high": 12},
        "tau": [4, 8],
    }
    study = search(storage, search=parameters, enqueue=[])
    found = searched_study(study, None).search
    lambda_s, batch_size = found["lambda_s"], found["batch_size"]
    assert isinstance(lambda_s, Range)
    assert isinstance(batch_size, Range)
    assert isinstance(lambda_s.low, float)
    assert isinstance(batch_size.low, int)


def test_scores_on_test_classes_are_called_that(storage: Storage) -> None:
    study = search(storage, protocol={"validation": "test"})
    assert searched_study(study, None).scored_on == "test classes"
