"""The sampler and pruner as any user of Optuna may use them."""

from datetime import datetime

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from histsearch.search.freeze_thaw_pruner import FreezeThawPruner
from histsearch.search.freeze_thaw_sampler import FreezeThawSampler
from histsearch.search.freeze_thaw_trials import DIVERGED, PAUSED
from histsearch.search.study_posterior import StudyPosterior
from tests.unit.search.made_up_search import EPOCHS, FINITE, TWO, recall, search


def told(study: optuna.Study, tau: int, *values: float) -> None:
    study.enqueue_trial({"tau": tau})
    trial = study.ask(TWO)
    for epoch, value in enumerate(values, start=1):
        trial.report(value, epoch)
    study.tell(trial, values[-1])


def test_the_answer_is_kept_with_the_study_and_stands() -> None:
    study = optuna.create_study(direction="maximize", sampler=FreezeThawSampler(TWO, EPOCHS))
    told(study, 32, 0.60, 0.70)
    study.ask(TWO)
    told(study, 4, 0.605, 0.702)
    study.ask(TWO)
    assert study.user_attrs["histsearch.winner"] == {"tau": 32}
    posterior = StudyPosterior.of(study, TWO, EPOCHS)
    standing, ahead = (posterior.merit(study.trials[number]) for number in (0, 2))
    assert standing is not None
    assert ahead is not None
    assert standing > ahead, "although less is expected of it:"
    assert standing[1] < ahead[1]
    assert posterior.winners_trial([0, 2]) == 0
    final = StudyPosterior.of(study, TWO, EPOCHS, final=True)
    assert final.winners_trial([0, 2]) == 2, "the best expectation, once all trials have begun"
    for _ in range(6):
        told(study, 32, 0.60, 0.70)
        told(study, 4, 0.70, 0.80)
    study.ask(TWO)
    assert study.user_attrs["histsearch.winner"] == {"tau": 4}
    assert StudyPosterior.of(study, TWO, EPOCHS).winners_trial([0, 2]) == 2


def test_an_answer_of_fewer_parameters_is_passed_over() -> None:
    study = optuna.create_study(direction="maximize", sampler=FreezeThawSampler(TWO, EPOCHS))
    told(study, 32, 0.60, 0.70)
    study.ask(TWO)
    assert study.user_attrs["histsearch.winner"] == {"tau": 32}
    more = TWO | {"batch_size": FINITE["batch_size"]}
    study.sampler = FreezeThawSampler(more, EPOCHS)
    for _ in range(2):
        trial = study.ask(more)
        trial.report(0.5, 1)
        study.tell(trial, state=TrialState.PRUNED)
    assert study.user_attrs["histsearch.winner"] == study.trials[2].params


def test_what_was_enqueued_is_kept_and_completed() -> None:
    study = search(FINITE, 2)
    study.enqueue_trial({"tau": 4})
    assert study.ask(FINITE).params["tau"] == 4


def test_a_configuration_that_failed_or_diverged_is_not_tried_again() -> None:
    space: dict[str, BaseDistribution] = {"tau": CategoricalDistribution((4, 8, 16))}
    study = optuna.create_study(direction="maximize", sampler=FreezeThawSampler(space, EPOCHS))
    study.enqueue_trial({"tau": 4})
    study.tell(study.ask(space), state=TrialState.FAIL)
    study.enqueue_trial({"tau": 8})
    diverged = study.ask(space)
    diverged.report(0.9, 1)
    diverged.set_user_attr(DIVERGED, True)
    study.tell(diverged, state=TrialState.PRUNED)
    for _ in range(4):
        trial = study.ask(space)
        assert trial.params == {"tau": 16}
        trial.report(0.1, 1)
        study.tell(trial, state=TrialState.PRUNED)


def left(value: float, tau: int, *epochs: int, state: TrialState) -> optuna.trial.FrozenTrial:
    return optuna.trial.FrozenTrial(
        number=-1,
        state=state,
        value=value if state == TrialState.PRUNED else None,
        datetime_start=datetime.now(),
        datetime_complete=datetime.now() if state == TrialState.PRUNED else None,
        params={"tau": tau, "batch_size": 16},
        distributions=FINITE,
        user_attrs={PAUSED: True},
        system_attrs={},
        intermediate_values=dict.fromkeys(epochs, value),
        trial_id=-1,
    )


def test_a_paused_trial_with_prospects_is_resumed() -> None:
    sampler = FreezeThawSampler(FINITE, EPOCHS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    assert sampler.resume(study, may_start=False) is None
    for value, tau in ((0.30, 4), (0.71, 16), (0.70, 32)):
        study.add_trial(left(value, tau, 1, 2, state=TrialState.WAITING))
    assert sampler.resume(study, may_start=False) in (1, 2)


def test_a_trial_is_never_left_before_its_fewest_epochs_nor_the_winners() -> None:
    study = optuna.create_study(direction="maximize")
    for _ in range(3):
        study.add_trial(left(0.9, 16, 1, 2, 3, state=TrialState.PRUNED))
    study.enqueue_trial({"tau": 4, "batch_size": 8})
    trial = study.ask(FINITE)
    trial.report(0.2, 1)
    frozen = study.trials[-1]
    impatient = FreezeThawPruner(FINITE, EPOCHS, min_epochs=1)
    assert impatient.prune(study, frozen)
    assert not FreezeThawPruner(FINITE, EPOCHS).prune(study, frozen), (
        "of 4 epochs, 2 are the fewest"
    )
    assert not FreezeThawPruner(FINITE, EPOCHS, min_epochs=3).prune(study, frozen)
    trial.set_user_attr("to_the_end", True)
    assert not impatient.prune(study, study.trials[-1])


def test_a_study_that_minimises_is_refused() -> None:
    study = optuna.create_study(direction="minimize", sampler=FreezeThawSampler(FINITE, EPOCHS))
    with pytest.raises(
        ValueError, match="found a study that minimises; FreezeThawSampler maximises"
    ):
        study.ask(FINITE)


@pytest.mark.parametrize("before", [0, 3])
def test_those_that_choose_at_the_same_time_choose_apart(before: int) -> None:
    study = search(FINITE, before)
    asked = [study.ask() for _ in range(4)]
    chosen = {
        (
            trial.suggest_categorical("tau", (4, 8, 16, 32)),
            trial.suggest_categorical("batch_size", (8, 16, 32)),
        )
        for trial in asked
    }
    assert len(chosen) >= 3


def test_a_parameter_beside_the_search_space_is_drawn_at_random() -> None:
    study = optuna.create_study(direction="maximize", sampler=FreezeThawSampler(TWO, EPOCHS))
    for _ in range(6):
        trial = study.ask()
        params = {
            "tau": trial.suggest_categorical("tau", (4, 32)),
            "dropout": trial.suggest_float("dropout", 0.0, 1.0),
        }
        for epoch in range(1, EPOCHS + 1):
            trial.report(recall({"tau": params["tau"]}, epoch, trial.number), epoch)
        study.tell(trial, 0.5)
    assert len({trial.params["dropout"] for trial in study.trials}) == 6


def test_what_is_enqueued_beside_the_search_space_rules_nothing_out() -> None:
    study = optuna.create_study(direction="maximize", sampler=FreezeThawSampler(FINITE, EPOCHS))
    study.enqueue_trial({"tau": 16, "note": 1})
    trial = study.ask(FINITE)
    study.tell(trial, state=TrialState.FAIL)
    study.enqueue_trial({"tau": 16, "note": 1})
    assert study.ask(FINITE).params["tau"] == 16
    assert study.trials[1].params != study.trials[0].params, "that one failed"


def test_a_search_that_reports_no_epoch_is_warned() -> None:
    study = optuna.create_study(direction="maximize", sampler=FreezeThawSampler(FINITE, EPOCHS))
    study.tell(study.ask(FINITE), 0.5)
    with pytest.warns(UserWarning, match=r"found 1 complete trial that reported no score"):
        study.ask(FINITE)
