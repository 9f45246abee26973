"""Searches whose trials validate on different folds."""

from collections import Counter

import optuna
import pytest
from optuna.trial import TrialState

from histsearch.data.census import Census, Part
from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError
from histsearch.reports.fold_comparison import compare_folds
from histsearch.reports.images import study_warnings
from histsearch.reports.study_summary import study_summary
from histsearch.reports.winner import judge, winning_trial
from histsearch.space.reading import parse_space
from histsearch.space.space import Space
from histsearch.studies.catalog import create_search
from histsearch.studies.images import note_census
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from histsearch.studies.trial_record import FOLD
from tests.integration.claims import claimed
from tests.integration.studies.small_search import complete_with

EPOCHS = 3
FEWEST, MORE = Part("validation", 2, 20, 0, None), Part("validation", 2, 24, 0, None)
CENSUS = Census(
    Part("training", 2, 24, 0, None), FEWEST, Part("test", 4, 44, 0, None), (FEWEST, MORE)
)
EFFECTS = (-0.05, 0.05)


def space(**changes: object) -> Space:
    table = {
        "name": "folds",
        "dataset": "glyphs",
        "backbone": "conv4",
        "epochs": EPOCHS,
        "trials": 20,
        "search": {"tau": [8, 16, 32], "alpha": [0.9, 1.1]},
        "protocol": {"folds": 2},
    }
    return parse_space({**table, **changes}, source="folds.toml")


def begun_folds(study: Study) -> list[int]:
    return [trial.user_attrs[FOLD] for trial in study.trials() if FOLD in trial.user_attrs]


def test_new_configurations_take_the_folds_in_turn_and_a_replicate_the_next(
    storage: Storage,
) -> None:
    one, two, three = ({"tau": tau, "alpha": 0.9} for tau in (8, 16, 32))
    queue = [one, two, one, one, two, three]
    study = create_search(storage, space(protocol={"folds": 3}, enqueue=queue))
    for _ in queue:
        claimed(study)
    assert begun_folds(study) == [0, 1, 1, 2, 2, 0]


def test_a_trial_keeps_its_fold_through_a_return_to_the_queue(storage: Storage) -> None:
    study = create_search(storage, space())
    claimed(study)
    second = claimed(study)
    assert second.fold == 1
    second.give_back()
    assert claimed(study).trial.number == second.trial.number
    assert begun_folds(study) == [0, 1]


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (2, "2"),
        (-1, "-1"),
        (1.0, "1.0"),
        (True, "true"),
        ("x", '"x"'),
        ([1], "[1]"),
        (None, "None"),
    ],
)
def test_a_fold_that_isnt_there_is_refused_and_harms_no_other_trial(
    storage: Storage, found: object, shown: str
) -> None:
    study = create_search(storage, space())
    note_census(study, CENSUS)
    study.optuna_study.enqueue_trial({"tau": 8, "alpha": 0.9}, user_attrs={FOLD: found})
    complete_with(study, {1: 0.5, 2: 0.6, 3: 0.7})
    failed = study.trials(TrialState.FAIL)[0]
    assert f"found the fold {shown}" in failed.user_attrs["reason"]
    assert claimed(study).fold == 1
    assert study_warnings(study)
    assert study_summary(study, judge(study), compare_folds(study))["best"]["fold"] == 0


@pytest.mark.parametrize("found", [7, "x", [1], None])
def test_a_study_of_one_fold_reads_no_fold(storage: Storage, found: object) -> None:
    study = create_search(storage, space(protocol={}))
    study.optuna_study.enqueue_trial({"tau": 8, "alpha": 0.9}, user_attrs={FOLD: found})
    complete_with(study, {1: 0.5, 2: 0.6, 3: 0.7})
    assert claimed(study).fold == 0
    winner = winning_trial(study)
    assert winner is not None
    assert winner.fold is None


def test_a_study_of_one_fold_gives_none(storage: Storage) -> None:
    study = create_search(storage, space(protocol={}))
    assert claimed(study).fold == 0
    assert begun_folds(study) == []
    assert compare_folds(study) is None


def test_a_grid_goes_through_its_points_on_one_fold_after_the_other(storage: Storage) -> None:
    study = create_search(storage, space(sampler="grid", trials=12))
    taken = [claimed(study).trial for _ in range(12)]
    assert begun_folds(study) == [0] * 6 + [1] * 6
    assert set(Counter(repr(sorted(trial.params.items())) for trial in taken).values()) == {2}
    with pytest.raises(SpaceError, match="at most 12, the points of the grid on each of 2 folds"):
        space(sampler="grid", trials=13)


def run_all(study: Study, trials: int) -> None:
    """Have trials reach an R@1 that grows with tau, and is another on each fold."""
    for _ in range(trials):
        claim = claimed(study)
        claim.give_back()  # for the one that completes it
        last = 0.5 + claim.trial.params["tau"] / 1000 + EFFECTS[claim.fold]
        complete_with(study, {epoch: last - 0.1 / epoch for epoch in range(1, EPOCHS + 1)})


def test_the_winner_isnt_the_one_that_ran_on_the_easy_fold(storage: Storage) -> None:
    # The grid's second round is cut short: only small values of tau run on the easy fold.
    short = space(sampler="grid", trials=8, search={"tau": [8, 12, 16, 24, 32]})
    study = create_search(storage, short)
    run_all(study, 8)
    assert max(study.trials(), key=lambda trial: trial.value or 0.0).params["tau"] == 16
    winner = winning_trial(study)
    assert winner is not None
    assert (winner.parameters["tau"], winner.fold, winner.trials) == (32, 0, 1)
    assert str(winner).endswith("on fold 0")


def test_a_winners_mean_counts_each_fold_once(storage: Storage) -> None:
    one = {"tau": 8, "alpha": 0.9}
    study = create_search(storage, space(enqueue=[one, one, one], trials=3))
    for value in (0.8, 0.6, 0.7):
        complete_with(study, dict.fromkeys(range(1, EPOCHS + 1), value))
    assert begun_folds(study) == [0, 1, 0]
    winner = winning_trial(study)
    assert winner is not None
    assert winner.mean_score == pytest.approx((0.75 + 0.6) / 2)


def test_folds_are_compared_once_enough_has_run(storage: Storage) -> None:
    study = create_search(storage, space(sampler="grid", trials=12))
    before = compare_folds(study)
    assert before is not None
    assert (before.effects, before.agreement) == (None, None)
    run_all(study, 12)
    found = compare_folds(study)
    assert found is not None
    assert found.effects == pytest.approx([-5.0, 5.0], abs=0.5)
    assert found.spread == pytest.approx(7.1, abs=0.7)
    # Equal values of alpha are ties, which agree with nothing.
    assert found.agreement == pytest.approx(12 / 15)
    assert found.ranked == 6


def test_a_retraining_has_no_folds_and_its_length_is_of_all(storage: Storage) -> None:
    study = create_search(storage, space(sampler="grid", trials=12))
    run_all(study, 12)
    retraining = create_retraining(study, seeds=1)
    run = claimed(retraining)
    assert FOLD not in run.trial.user_attrs
    assert run.trial.user_attrs["epochs"] == EPOCHS
    assert optuna.load_study(study_name=retraining.name, storage=storage.optuna)
