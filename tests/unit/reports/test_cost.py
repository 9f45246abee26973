from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from histsearch.reports.cost import Cost, cost
from histsearch.studies import trial_record

EPOCHS = 5
HOUR = 3600


def trial(
    state: TrialState, *, epochs: list[float], seconds: float | None = None, gpu: bool = False
) -> FrozenTrial:
    attributes: dict[str, Any] = {trial_record.EPOCH_SECONDS: epochs, trial_record.ACCELERATED: gpu}
    if seconds is not None:
        attributes[trial_record.SECONDS] = seconds
    value = 0.5 if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, user_attrs=attributes)


def test_finished_trials_cost_the_time_from_claim_to_outcome() -> None:
    trials = [
        trial(TrialState.COMPLETE, epochs=[600.0] * EPOCHS, seconds=HOUR),
        trial(TrialState.PRUNED, epochs=[600.0], seconds=HOUR / 2),
        trial(TrialState.FAIL, epochs=[], seconds=HOUR / 4),
    ]
    assert cost(trials, EPOCHS).hours_spent == pytest.approx(1.75)


def test_running_trial_costs_what_it_has_taken_so_far() -> None:
    running = trial(TrialState.RUNNING, epochs=[0.5 * HOUR], seconds=0.75 * HOUR)
    assert cost([running], EPOCHS).hours_spent == pytest.approx(0.75)


def test_waiting_trial_costs_nothing() -> None:
    waiting = create_trial(state=TrialState.WAITING)
    assert cost([waiting], EPOCHS) == Cost(hours_spent=0, hours_saved=0, accelerated=False)


def test_pruned_trial_saves_its_missing_epochs_at_its_own_pace() -> None:
    pruned = trial(TrialState.PRUNED, epochs=[0.25 * HOUR, 0.75 * HOUR], seconds=2 * HOUR)
    assert cost([pruned], EPOCHS).hours_saved == pytest.approx(3 * 0.5)


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING])
def test_trial_that_was_not_pruned_saves_nothing(state: TrialState) -> None:
    assert cost([trial(state, epochs=[float(HOUR)])], EPOCHS).hours_saved == 0


def test_trial_pruned_before_its_first_epoch_saves_nothing() -> None:
    assert cost([trial(TrialState.PRUNED, epochs=[])], EPOCHS).hours_saved == 0


def test_savings_add_up() -> None:
    pruned = trial(TrialState.PRUNED, epochs=[HOUR / 4] * 3)
    assert cost([pruned, pruned], EPOCHS).hours_saved == pytest.approx(1.0)


def test_hours_without_a_gpu_are_not_called_gpu_hours() -> None:
    on_cpu = cost([trial(TrialState.COMPLETE, epochs=[1.0])], EPOCHS)
    assert not on_cpu.accelerated
    assert on_cpu.unit == "CPU hours"


def test_hours_with_a_gpu_are_gpu_hours() -> None:
    done = trial(TrialState.COMPLETE, epochs=[1.0], gpu=True)
    on_gpu = cost([done, create_trial(state=TrialState.WAITING)], EPOCHS)
    assert on_gpu.accelerated
    assert on_gpu.unit == "GPU-hours"


def test_no_trials_cost_nothing() -> None:
    assert cost([], EPOCHS) == Cost(hours_spent=0, hours_saved=0, accelerated=False)
