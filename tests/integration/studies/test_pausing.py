"""Studies whose trials are paused and gone on with, without training."""

import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.claim import Claim
from histsearch.studies.definition import SearchDefinition
from histsearch.studies.limit_changes import change_limits
from histsearch.studies.queue import goes_straight_on
from histsearch.studies.retraining import create_retraining
from histsearch.studies.stages import ENDED
from histsearch.studies.study import Study
from tests.integration.claims import claim_next, claimed, end_if_due, is_needless
from tests.integration.studies.small_search import small_space

EPOCHS = 4
LISTS = {"tau": [4, 8, 16, 32], "batch_size": [8, 16, 32]}


def freeze_thaw_study(storage: Storage, **changes: object) -> Study:
    table = {
        "sampler": "freeze-thaw",
        "search": LISTS,
        "enqueue": [],
        "epochs": EPOCHS,
        "trials": 6,
    }
    return create_search(storage, small_space(**table | changes))


def run_epochs(claim: Claim, *recalls: float, first: int = 1, hours: float = 0.0) -> None:
    claim.record(
        {trial_record.SECONDS: 3600 * hours, trial_record.BEST_EPOCH: 1},
        {first + number: value for number, value in enumerate(recalls)},
    )


def paused(study: Study, *recalls: float, hours: float = 0.0) -> Claim:
    claim = claimed(study)
    run_epochs(claim, *recalls, hours=hours)
    claim.pause()
    return claim


def complete(study: Study, value: float, *before: float) -> Claim:
    """Run a trial to its end; its epochs before that have the same value when left out."""
    claim = claimed(study)
    run_epochs(claim, *(before or [value] * (EPOCHS - 1)), value)
    claim.tell(TrialState.COMPLETE, value)
    return claim


def has_ended(study: Study) -> bool:
    return study.ended is not None


def test_a_paused_trial_waits_without_being_the_next(storage: Storage) -> None:
    study = freeze_thaw_study(storage)
    first = paused(study, 0.3)
    (trial,) = study.trials(TrialState.WAITING)
    assert trial.user_attrs[trial_record.PAUSED]
    second = claimed(study)
    assert second.trial.number == 1, "so bad a trial is not the one to go on with"
    assert second.trial.params != first.trial.params


def test_a_paused_trial_that_is_resumed_keeps_its_number_parameters_and_epochs(
    storage: Storage,
) -> None:
    study = freeze_thaw_study(storage, trials=1)
    first = paused(study, 0.6, 0.7)
    again = claimed(study)
    assert (again.trial.number, again.attempt) == (0, 2)
    assert again.trial.params == first.trial.params
    assert again.trial.intermediate_values == {1: 0.6, 2: 0.7}
    assert again.seed == first.seed
    assert not again.trial.user_attrs[trial_record.PAUSED]
    assert claim_next(study) is None, "its budget of trials is used up, and its trial is running"


def test_a_trial_that_came_back_unplanned_goes_before_all_paused_ones(storage: Storage) -> None:
    study = freeze_thaw_study(storage)
    paused(study, 0.9)
    other = claimed(study)
    run_epochs(other, 0.1)
    other.give_back()
    assert claimed(study).trial.number == other.trial.number


def test_pauses_cost_no_retry(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=1, max_retries=0)
    for _ in range(3):
        paused(study, 0.5)
    assert study.count(TrialState.WAITING) == 1


def test_with_another_sampler_nothing_is_paused_for_ever(storage: Storage) -> None:
    study = freeze_thaw_study(storage, sampler="random", trials=2)
    assert claimed(study).trial.number == 0
    assert claimed(study).trial.number == 1
    assert claim_next(study) is None


def test_a_study_ends_when_its_hours_are_used_and_its_winner_runs_to_the_end(
    storage: Storage,
) -> None:
    study = freeze_thaw_study(storage, gpu_hours=1.0)
    paused(study, 0.3, hours=0.3)
    assert end_if_due(study) == []
    good = paused(study, 0.8, hours=0.9)
    running = claimed(study)

    assert end_if_due(study) == []
    assert study.ended == "1.2 hours are used, of 1"
    last = claimed(study)
    assert last.trial.number == good.trial.number
    assert last.trial.user_attrs[trial_record.TO_THE_END]
    assert claim_next(study) is None, "nothing else is begun or gone on with"
    run_epochs(running, 0.2)
    running.pause()
    assert claim_next(study) is None

    run_epochs(last, 0.8, 0.8, 0.8, first=2)
    last.tell(TrialState.COMPLETE, 0.8)
    closed = end_if_due(study)
    assert [(one.trial.number, one.attempt) for one in closed] == [(0, 1), (2, 1)]
    pruned = study.trials()[0]
    assert (pruned.state, pruned.value) == (TrialState.PRUNED, 0.3)
    assert pruned.user_attrs[trial_record.REASON] == "the study ended"
    assert study.is_finished
    assert claim_next(study) is None


def test_a_winner_that_is_complete_needs_no_more(storage: Storage) -> None:
    study = freeze_thaw_study(storage, gpu_hours=0.5)
    complete(study, 0.9)
    paused(study, 0.2, hours=1.0)
    end_if_due(study)
    assert study.is_finished


def test_what_is_enqueued_after_the_end_runs_to_its_own(storage: Storage) -> None:
    study = freeze_thaw_study(storage, gpu_hours=0.5)
    complete(study, 0.9)
    paused(study, 0.2, hours=1.0)
    end_if_due(study)
    study.enqueue({"tau": 8, "batch_size": 8})
    end_if_due(study)
    asked_for = claimed(study)
    assert asked_for.trial.params == {"tau": 8, "batch_size": 8}
    assert asked_for.trial.user_attrs[trial_record.TO_THE_END]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_hours_end_a_study_of_any_sampler(storage: Storage, sampler: str) -> None:
    study = freeze_thaw_study(storage, sampler=sampler, gpu_hours=1.0)
    claim = claimed(study)
    run_epochs(claim, 0.5, hours=1.5)
    claim.tell(TrialState.COMPLETE, 0.5)
    end_if_due(study)
    assert claim_next(study) is None
    assert study.is_finished


def test_a_study_ends_when_its_winner_is_decided(storage: Storage) -> None:
    study = freeze_thaw_study(
        storage, trials=60, search={"tau": [4, 8]}, decided={"delta": 1.0, "epsilon": 0.05}
    )
    values = {4: 0.5, 8: 0.8}
    doubts = []
    for _ in range(60):
        end_if_due(study)
        doubts.append(study.chance_of_better)
        claim = claim_next(study)
        if claim is None:
            break
        run_epochs(claim, *[values[claim.trial.params["tau"]]] * EPOCHS)
        claim.tell(TrialState.COMPLETE, values[claim.trial.params["tau"]])
    assert study.is_finished
    assert study.ended is not None
    assert study.ended.startswith("the winner is decided")
    asked = [doubt for doubt in doubts if doubt is not None]
    assert asked[0] == 1.0, "only one value has run"
    assert asked[-1] < 0.05
    assert all(doubt >= 0.05 for doubt in asked[:-1])
    assert study.count() < 20
    assert study.best()[0].params == {"tau": 8}


def test_an_undecided_study_goes_on(storage: Storage) -> None:
    study = freeze_thaw_study(storage, decided={"delta": 0.1, "epsilon": 0.01})
    for value in (0.70, 0.71):
        complete(study, value)
        end_if_due(study)
    assert study.ended is None
    assert study.chance_of_better is not None
    assert study.chance_of_better >= 0.01


def test_the_best_is_what_the_model_expects_most_of_not_the_luckiest(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=10, search={"tau": [4, 32]})
    for tau, value in ((4, 0.70), (32, 0.69), (4, 0.62), (32, 0.69), (4, 0.62), (32, 0.69)):
        study.enqueue({"tau": tau})
        complete(study, value)
    assert study.best()[0].params == {"tau": 32}
    retraining = create_retraining(study, seeds=1)
    assert retraining.trials()[0].system_attrs["fixed_params"]["tau"] == 32


def test_a_winner_stands_until_another_is_probably_better(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=20, search={"tau": [4, 32]}, decided=False)
    study.enqueue({"tau": 4})
    complete(study, 0.700, 0.68, 0.71, 0.69)
    other = claimed(study)
    study.enqueue({"tau": 32})
    complete(study, 0.702, 0.69, 0.68, 0.71)
    other.give_back()
    assert find_study(storage, "small").best()[0].params == {"tau": 4}
    for _ in range(4):
        study.enqueue({"tau": 32})
        complete(study, 0.8)
    assert find_study(storage, "small").best()[0].params == {"tau": 32}


def test_one_failure_does_not_take_the_place_of_a_configuration_that_ran(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=20, search={"tau": [4, 32]}, decided=False)
    for tau, value in ((32, 0.80), (4, 0.50), (32, 0.79)):
        study.enqueue({"tau": tau})
        complete(study, value)
    for tau in (32, 4):
        study.enqueue({"tau": tau})
        claimed(study).tell(TrialState.FAIL)
    assert study.best()[0].params == {"tau": 32}


def test_a_study_made_before_samplers_had_settings_is_read(storage: Storage) -> None:
    study = freeze_thaw_study(storage, sampler="tpe")
    stored = study.optuna_study.user_attrs["histsearch.definition"]
    stored["space"]["sampler"] = "tpe"
    for name in ("pruner", "gpu_hours", "decided"):
        del stored["space"][name]
    study.optuna_study.set_user_attr("histsearch.definition", stored)
    definition = find_study(storage, "small").definition
    assert isinstance(definition, SearchDefinition)
    assert (definition.space.sampler.name, definition.space.pruner.name) == ("tpe", "median")


def test_a_winner_that_diverges_is_followed_by_the_next_best(storage: Storage) -> None:
    study = freeze_thaw_study(storage, gpu_hours=0.5)
    second = paused(study, 0.70)
    first = paused(study, 0.90, hours=1.0)
    assert end_if_due(study) == []
    winner = claimed(study)
    assert winner.trial.number == first.trial.number
    assert end_if_due(study) == [], "the second waits until the first is complete"
    winner.record({trial_record.DIVERGED: True})
    winner.tell(TrialState.PRUNED)
    end_if_due(study)
    assert claimed(study).trial.number == second.trial.number


def test_a_decided_study_goes_on_when_all_that_was_begun_diverges(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=9, decided={"delta": 50.0, "epsilon": 0.9})

    for tau, batch_size in ((4, 8), (8, 16), (16, 32), (32, 8)):
        study.enqueue({"tau": tau, "batch_size": batch_size})
        paused(study, 0.5)
    end_if_due(study)
    assert has_ended(study)
    for _ in range(4):
        winner = claimed(study)
        winner.record({trial_record.DIVERGED: True})
        winner.tell(TrialState.PRUNED)
        end_if_due(study)
    assert not has_ended(study)
    configurations = [repr(trial.params) for trial in study.trials()]
    end_if_due(study)
    assert not has_ended(study), "those that diverged decide nothing"
    assert repr(claimed(study).trial.params) not in configurations


def test_a_worker_goes_on_when_all_that_was_begun_failed_after_the_end(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=9, decided={"delta": 50.0, "epsilon": 0.9})
    paused(study, 0.5)
    study.optuna_study.set_user_attr(ENDED, "the winner is decided")
    end_if_due(study)
    claimed(study).tell(TrialState.FAIL)
    assert study.is_open
    assert not study.is_finished
    end_if_due(study)
    assert study.ended is None
    assert claimed(study).trial.number == 1


def test_values_with_which_no_trial_runs_are_left_alone(storage: Storage) -> None:
    """As when a batch is too large for the memory: no epoch would ever tell the model so."""
    study = freeze_thaw_study(
        storage, trials=40, decided=False, search={**LISTS, "alpha": [0.9, 1.0]}
    )
    failed = 0
    for _ in range(12):
        claim = claimed(study)
        if claim.trial.params["batch_size"] == 32:
            claim.tell(TrialState.FAIL)
            failed += 1
        else:
            run_epochs(claim, *[0.5] * EPOCHS)
            claim.tell(TrialState.COMPLETE, 0.5)
    assert failed == 3


def test_failures_of_all_values_bar_no_more_than_their_configurations(storage: Storage) -> None:
    lists = {"tau": [4, 8, 16], "batch_size": [8], "alpha": [0.9, 1.0]}
    study = freeze_thaw_study(storage, trials=6, decided=False, search=lists)
    for _ in range(6):
        claimed(study).tell(TrialState.FAIL)
    assert len({repr(trial.params) for trial in study.trials()}) == 6


def test_a_study_is_ended_by_what_the_data_say_now(storage: Storage) -> None:
    """A fit to a few poor trials alone would be sure that none is better."""
    study = freeze_thaw_study(storage, trials=40, decided={"delta": 0.5, "epsilon": 0.05})
    for value in (0.01, 0.011, 0.5):
        complete(study, value)
    assert study.posterior().search.planner.fit.epochs == 3 * EPOCHS
    end_if_due(study)
    assert study.ended is None


def test_a_winner_that_is_given_back_is_still_the_winner(storage: Storage) -> None:
    study = freeze_thaw_study(storage, gpu_hours=0.5)
    paused(study, 0.5)
    paused(study, 0.9, hours=1.0)
    end_if_due(study)
    winner = claimed(study)
    run_epochs(winner, 0.1, first=2)
    winner.give_back()
    assert end_if_due(study) == []
    assert claimed(study).trial.number == winner.trial.number


def test_a_running_trial_may_be_the_winner(storage: Storage) -> None:
    study = freeze_thaw_study(storage, gpu_hours=0.5)
    paused(study, 0.3, hours=1.0)
    running = claimed(study)
    run_epochs(running, 0.9)
    end_if_due(study)
    trial = study.trials()[running.trial.number]
    assert trial.user_attrs[trial_record.TO_THE_END]
    assert not study.optuna_study.pruner.prune(study.optuna_study, trial)


def test_a_paused_trial_whose_like_failed_is_brought_to_its_end(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=2, decided=False)
    for _ in range(2):
        study.enqueue({"tau": 8, "batch_size": 8})
    alone = paused(study, 0.5)
    claimed(study).tell(TrialState.FAIL)
    end_if_due(study)
    assert claimed(study).trial.number == alone.trial.number


def begun(study: Study, *ends: float) -> None:
    """New trials that were paused after two epochs, the last of which had these scores."""
    for recall in ends:
        tau, batch_size = divmod(study.count(), 3)
        study.enqueue({"tau": LISTS["tau"][tau], "batch_size": LISTS["batch_size"][batch_size]})
        paused(study, recall - 0.05, recall)


@pytest.mark.parametrize("decided", [False, {"delta": 0.5, "epsilon": 0.05}])
def test_a_search_ends_when_no_paused_trial_may_overtake_the_winner(
    storage: Storage, decided: object
) -> None:
    study = freeze_thaw_study(storage, trials=5, decided=decided)
    begun(study, 0.31, 0.28, 0.30, 0.33)
    assert end_if_due(study) == []
    assert not has_ended(study), "another trial may start"
    study.enqueue({"tau": 32, "batch_size": 32})
    complete(study, 0.8, 0.7, 0.75, 0.78)

    closed = end_if_due(study)
    assert [one.trial.number for one in closed] == [0, 1, 2, 3]
    assert (study.ended or "").startswith(
        "its budget of 5 trials is used, and the chance that a paused one overtakes the winner"
    )
    assert study.chance_of_better is not None
    assert study.chance_of_better < 0.05
    assert claim_next(study) is None
    assert study.is_finished


def test_a_search_goes_on_with_a_paused_trial_that_may_overtake_the_winner(
    storage: Storage,
) -> None:
    study = freeze_thaw_study(storage, trials=5, decided=False)
    begun(study, 0.64, 0.65, 0.64)
    study.enqueue({"tau": 32, "batch_size": 16})
    paused(study, 0.70, 0.745)
    study.enqueue({"tau": 16, "batch_size": 16})
    complete(study, 0.8, 0.7, 0.75, 0.78)
    assert end_if_due(study) == []
    assert not has_ended(study)
    assert study.chance_of_better is not None
    assert study.chance_of_better >= 0.05
    assert claimed(study).trial.number == 3, "the one that keeps up"


def test_no_search_ends_before_what_was_enqueued_has_run(storage: Storage) -> None:
    queue = [{"tau": tau, "batch_size": 8} for tau in (4, 8, 16)]
    study = freeze_thaw_study(storage, trials=3, decided=False, enqueue=queue)
    complete(study, 0.8, 0.7, 0.75, 0.78)
    paused(study, 0.2, 0.3)
    assert end_if_due(study) == []
    assert not has_ended(study)
    assert study.chance_of_better is None, "it isn't even asked"
    assert claimed(study).trial.number == 2


def test_a_running_trial_learns_that_its_search_has_ended(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=3, decided=False)
    complete(study, 0.8, 0.7, 0.75, 0.78)
    begun(study, 0.3)
    poor = claimed(study)
    assert end_if_due(study) == []
    assert not has_ended(study), "it has shown nothing yet"
    run_epochs(poor, 0.2, 0.25)
    end_if_due(study)
    assert has_ended(study)
    poor.pause()
    end_if_due(study)
    assert study.trials()[2].state == TrialState.PRUNED


def test_a_running_trial_without_which_its_search_can_end_is_left(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=3, decided=False)
    complete(study, 0.8, 0.7, 0.75, 0.78)
    begun(study, 0.3)
    poor = claimed(study)
    run_epochs(poor, 0.2, 0.25)
    with storage.lock(study.id):  # another worker claims, or is suspended over it
        assert is_needless(study, study.trials()[2])
    storage.optuna.set_trial_user_attr(poor.trial._trial_id, trial_record.TO_THE_END, True)
    assert not is_needless(study, study.trials()[2])


def test_a_winner_that_runs_is_not_left_when_its_search_can_end(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=2, decided=False)
    begun(study, 0.3)
    winner = claimed(study)
    assert not is_needless(study, study.trials()[1]), "it has shown nothing yet"
    run_epochs(winner, 0.75, 0.8)
    assert not is_needless(study, study.trials()[1])


def test_a_larger_budget_reopens_a_search_that_ended_with_its_trials(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=2, decided=False)
    complete(study, 0.8, 0.7, 0.75, 0.78)
    begun(study, 0.3)
    end_if_due(study)
    change_limits(study, {"trials": 3})
    assert not has_ended(study)
    end_if_due(study)
    assert claimed(study).trial.number == 2


@pytest.mark.parametrize(("trials", "reason"), [(1, "its trial has run"), (2, "all 2 trials")])
def test_a_search_that_has_run_its_trials_says_so(
    storage: Storage, trials: int, reason: str
) -> None:
    study = freeze_thaw_study(storage, trials=trials, sampler="tpe")
    for _ in range(trials):
        assert not has_ended(study)
        complete(study, 0.5)
    assert (study.ended or "").startswith(reason)


def test_a_trial_that_would_be_chosen_again_goes_straight_on(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=6, decided=False)
    begun(study, 0.31, 0.28)
    claim = claimed(study)
    run_epochs(claim, 0.7, 0.75)
    trial = study.trials()[2]
    straight_on = goes_straight_on(study, trial)
    claim.pause()
    chosen = claimed(study).trial.number
    assert straight_on == (chosen == 2)


def test_what_was_enqueued_goes_before_the_trial_at_hand(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=1, decided=False)
    run_epochs(claimed(study), 0.7, 0.75)
    (trial,) = study.trials()
    assert goes_straight_on(study, trial)
    study.enqueue({"tau": 8, "batch_size": 8})
    assert not goes_straight_on(study, trial)


def test_the_winner_goes_before_the_trial_at_hand(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=2, decided=False)
    winner = paused(study, 0.3, 0.35)
    study.enqueue({"tau": 8, "batch_size": 8})
    run_epochs(claimed(study), 0.7, 0.75)
    trial = study.trials()[1]
    storage.optuna.set_trial_user_attr(winner.trial._trial_id, trial_record.TO_THE_END, True)
    assert not goes_straight_on(study, trial)


def test_no_trial_is_paused_for_one_that_may_not_start(storage: Storage) -> None:
    study = freeze_thaw_study(storage, trials=1, decided=False)
    claim = claimed(study)
    run_epochs(claim, 0.1)
    (trial,) = study.trials()
    assert not study.optuna_study.pruner.prune(study.optuna_study, trial)


@pytest.mark.parametrize(
    ("search", "values"),
    [
        ({"batch_size": {"low": 8, "high": 128, "log": True}}, (127, 55)),
        ({"alpha": {"low": 0.1, "high": 0.9, "step": 0.1}}, (0.3, 0.7)),
        ({"lr": {"low": 1e-5, "high": 1e-2, "log": True}}, (3e-4, 1e-3)),
        ({"distance": ["cosine", "euclidean"], "bn_freeze": [True, False]}, ()),
    ],
)
def test_every_kind_of_parameter_is_searched(
    storage: Storage, search: dict[str, object], values: tuple[float, ...]
) -> None:
    study = freeze_thaw_study(storage, search=search, trials=8, decided=False)
    for value in values:
        study.enqueue({next(iter(search)): value})
    for number in range(4):
        paused(study, 0.5 + 0.01 * number)
    complete(study, 0.6)
    assert study.best()
