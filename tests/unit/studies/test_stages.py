import re
from itertools import product
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

import histsearch
from histsearch.studies.stages import (
    ENDED,
    PAUSED,
    NoSuchMoveError,
    StudyMove,
    StudyStage,
    TrialMove,
    TrialStage,
    move_study,
    move_trial,
)

DOCS = Path(__file__).parents[3] / "docs" / "stages.md"
TRIALS = {
    TrialStage.QUEUED: (TrialState.WAITING, {}),
    TrialStage.PAUSED: (TrialState.WAITING, {"paused": True}),
    TrialStage.DUE: (TrialState.WAITING, {"paused": True, "to_the_end": True}),
    TrialStage.RUNNING: (TrialState.RUNNING, {"paused": False}),
    TrialStage.FINISHING: (TrialState.RUNNING, {"to_the_end": True}),
    TrialStage.COMPLETE: (TrialState.COMPLETE, {"to_the_end": True}),
    TrialStage.PRUNED: (TrialState.PRUNED, {"paused": False}),
    TrialStage.FAILED: (TrialState.FAIL, {}),
}
ENDS = {TrialStage.COMPLETE, TrialStage.PRUNED, TrialStage.FAILED}
STUDIES: dict[StudyStage, dict[str, bool | str | None]] = {
    StudyStage.OPEN: {PAUSED: False, ENDED: None},
    StudyStage.PAUSED: {PAUSED: True},
    StudyStage.ENDED: {PAUSED: False, ENDED: "1 hour is used"},
    StudyStage.PAUSED_AND_ENDED: {PAUSED: True, ENDED: "1 hour is used"},
}


@pytest.fixture
def storage() -> BaseStorage:
    return InMemoryStorage()


def stored(storage: BaseStorage, stage: TrialStage) -> FrozenTrial:
    state, attributes = TRIALS[stage]
    value = 0.5 if state == TrialState.COMPLETE else None
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE])
    trial = create_trial(state=state, value=value, user_attrs=attributes)
    return storage.get_trial(storage.create_new_trial(study_id, template_trial=trial))


@pytest.mark.parametrize(("move", "stage"), [*product(TrialMove, TrialStage)])
def test_a_trial_goes_where_its_move_leads_or_stays(
    storage: BaseStorage, move: TrialMove, stage: TrialStage
) -> None:
    before = stored(storage, stage)
    value = 0.5 if move == TrialMove.COMPLETE else None
    if stage in move.steps:
        move_trial(storage, before._trial_id, move, value)
        after = storage.get_trial(before._trial_id)
        assert TrialStage.of(after) == move.steps[stage]
        assert after.value == value
        assert not (after.user_attrs.get("paused") and TrialStage.of(after) == TrialStage.RUNNING)
        return
    with pytest.raises(UpdateFinishedTrialError if stage in ENDS else NoSuchMoveError):
        move_trial(storage, before._trial_id, move, value)
    assert storage.get_trial(before._trial_id) == before


@pytest.mark.parametrize(("move", "stage"), [*product(StudyMove, StudyStage)])
def test_a_study_goes_where_its_move_leads_or_stays(
    storage: BaseStorage, move: StudyMove, stage: StudyStage
) -> None:
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE])
    for name, value in STUDIES[stage].items():
        storage.set_study_user_attr(study_id, name, value)
    reason = "the winner is decided" if move == StudyMove.END else None
    if stage in move.steps:
        move_study(storage, study_id, move, reason)
        assert StudyStage.of(storage, study_id) == move.steps[stage]
        return
    with pytest.raises(NoSuchMoveError, match=f"found {stage} where {move.name} was to be"):
        move_study(storage, study_id, move, reason)
    assert storage.get_study_user_attrs(study_id) == STUDIES[stage]


def test_every_stage_is_reached_and_every_trial_can_end() -> None:
    reached = {after for move in TrialMove for after in move.steps.values()}
    assert reached == set(TrialStage)
    can_end = set(ENDS)
    for _ in TrialStage:
        can_end |= {a for move in TrialMove for a, b in move.steps.items() if b in can_end}
    assert can_end == set(TrialStage)


def test_a_trial_that_never_ran_has_a_start_when_it_ends(storage: BaseStorage) -> None:
    study = optuna.create_study(storage=storage)
    study.enqueue_trial({})
    move_trial(storage, storage.get_all_trials(study._study_id)[0]._trial_id, TrialMove.REFUSE)
    (trial,) = study.trials
    assert trial.datetime_start is not None
    assert trial.datetime_complete is not None


def test_no_other_module_writes_a_state() -> None:
    package = Path(histsearch.__file__).parent
    write = re.compile(r"set_trial_state_values\(|_attr\([^()]*\b(PAUSED|ENDED|TO_THE_END),")
    writers = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if path.parent.name != "database"  # Optuna's storage, through which it is written
        and write.search(path.read_text())
    ]
    assert writers == ["studies/stages.py"]


def test_the_docs_list_every_stage_and_move() -> None:
    lines = {line for line in DOCS.read_text().splitlines() if line.startswith("| `")}
    stages = {line.split("`")[1] for line in lines if line.count("|") == 3}
    assert stages == {*TrialStage, *StudyStage}
    assert {line for line in lines if line.count("|") == 4} == {
        f"| `{move.name.lower()}` | {_drawn(move)} | {move.sentence} |"
        for move in (*TrialMove, *StudyMove)
    }


def _drawn(move: TrialMove | StudyMove) -> str:
    return ", ".join(f"{before} → {after}" for before, after in move.steps.items())
