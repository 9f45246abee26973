"""What a process keeps of the studies it has read, and how it notices what changed."""

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import text
from sqlalchemy.engine import Connection

from histsearch.database.changes import STUDY_ITSELF
from histsearch.database.keeping_storage import KeepingStorage
from histsearch.database.storage import Storage
from tests.integration.statements import statements_on

DISTRIBUTIONS = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "batch_size": IntDistribution(8, 64, step=8),
    "loss": CategoricalDistribution(("hist", "triplet", None)),
}


def a_trial(number: int, **changes: Any) -> FrozenTrial:
    """A complete trial, another for each number."""
    facts: dict[str, Any] = {
        "state": TrialState.COMPLETE,
        "value": 0.1 * number,
        "params": {"lr": 1.0 / (number + 1), "batch_size": 16, "loss": "hist"},
        "distributions": DISTRIBUTIONS,
        "user_attrs": {"seconds": 1.5 * number, "epoch_seconds": [0.1, 0.2]},
        "system_attrs": {"fixed_params": {"lr": 1.0}},
        "intermediate_values": {1: 0.1, 2: 1.0 / 3.0},
    }
    return create_trial(**{**facts, **changes})


@pytest.fixture
def study_id(storage: Storage) -> int:
    """A study of three trials, the last of which runs."""
    study_id = storage.optuna.create_new_study([StudyDirection.MAXIMIZE], "one")
    for number in range(2):
        storage.optuna.create_new_trial(study_id, a_trial(number))
    storage.optuna.create_new_trial(study_id)
    return study_id


def read(keeping: KeepingStorage, study_id: int) -> list[FrozenTrial]:
    return keeping.get_all_trials(study_id, deepcopy=False)


def as_optuna_reads(storage: Storage, study_id: int) -> list[FrozenTrial]:
    return storage.optuna.get_all_trials(study_id)


def test_trials_are_read_as_optuna_reads_them(storage: Storage) -> None:
    study_id = storage.optuna.create_new_study([StudyDirection.MAXIMIZE] * 2, "two values")
    odd = {"nan": math.nan, "text": 'a "quoted" \u00e9\u2028', "deep": [{"a": None}]}
    steps = {7: math.inf, 1: -math.inf, 3: 2.0, 2: 1e-300}
    for trial in (
        a_trial(1, value=None, values=[math.inf, 16.0]),
        a_trial(2, value=None, values=[-math.inf, 1.0 / 3.0], user_attrs=odd),
        a_trial(3, value=None, state=TrialState.PRUNED, intermediate_values=steps),
        a_trial(4, value=None, state=TrialState.WAITING, params={}, distributions={}),
        a_trial(
            5,
            value=None,
            state=TrialState.FAIL,
            params={"lr": 1.0, "batch_size": 8, "loss": None},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        ),
    ):
        storage.optuna.create_new_trial(study_id, trial)
    storage.optuna.create_new_trial(study_id)
    storage.optuna.set_trial_intermediate_value(6, 1, math.nan)
    ours, theirs = read(storage.keeping, study_id), as_optuna_reads(storage, study_id)
    assert [repr(trial) for trial in ours] == [repr(trial) for trial in theirs]
    assert repr(storage.keeping.get_trial(2)) == repr(theirs[1])
    for state in TrialState:
        number = sum(trial.state == state for trial in theirs)
        assert storage.keeping.get_n_trials(study_id, state) == number


CHANGES: dict[str, Callable[[RDBStorage, int, int], object]] = {
    "state": lambda one, _, key: one.set_trial_state_values(key, TrialState.COMPLETE, [0.5]),
    "parameter": lambda one, _, key: one.set_trial_param(key, "lr", 0.5, DISTRIBUTIONS["lr"]),
    "score": lambda one, _, key: one.set_trial_intermediate_value(key, 1, 0.5),
    "attribute": lambda one, _, key: one.set_trial_user_attr(key, "paused", True),
    "system attribute": lambda one, _, key: one.set_trial_system_attr(key, "note", "text"),
    "new trial": lambda one, study, _: one.create_new_trial(study, a_trial(7)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_process_changes_is_noticed(
    storage: Storage, study_id: int, change: str
) -> None:
    before = read(storage.keeping, study_id)
    other = RDBStorage(storage.url.render_as_string(hide_password=False))
    CHANGES[change](other, study_id, before[2]._trial_id)
    after = read(storage.keeping, study_id)
    assert after == as_optuna_reads(storage, study_id)
    assert after != before
    assert [new is old for new, old in zip(after[:2], before, strict=False)] == [True, True]
    other.engine.dispose()


def test_what_is_changed_by_hand_is_noticed(storage: Storage, study_id: int) -> None:
    trials = read(storage.keeping, study_id)
    key = {"key": trials[0]._trial_id}
    for statement in (
        "UPDATE trial_intermediate_values SET intermediate_value = 0.9 WHERE trial_id = :key",
        "DELETE FROM trial_intermediate_values WHERE trial_id = :key AND step = 2",
        "UPDATE trial_params SET param_value = 24 "
        "WHERE trial_id = :key AND param_name = 'batch_size'",
        "DELETE FROM trial_user_attributes WHERE trial_id = :key",
        "UPDATE trial_values SET value = 0.7 WHERE trial_id = :key",
    ):
        with storage.begin() as connection:
            connection.execute(text(statement), key)
        before, trials = trials, read(storage.keeping, study_id)
        assert trials != before
        assert trials == as_optuna_reads(storage, study_id)


def test_a_trial_that_somebody_removes_is_gone(storage: Storage, study_id: int) -> None:
    running = read(storage.keeping, study_id)[2]
    with storage.begin() as connection:
        connection.execute(
            text("DELETE FROM trials WHERE trial_id = :key"), {"key": running._trial_id}
        )
    assert [trial.number for trial in read(storage.keeping, study_id)] == [0, 1]
    assert storage.keeping.get_n_trials(study_id) == 2


def test_a_transaction_that_ends_after_later_ones_is_not_missed(
    storage: Storage, study_id: int
) -> None:
    """Two are open at once: the one that began first is stored last."""
    first_key, second_key = (trial._trial_id for trial in read(storage.keeping, study_id)[:2])
    insert = text(
        "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:key, 'x', '1')"
    )
    with storage.begin() as slow:
        slow.execute(insert, {"key": first_key})
        with storage.begin() as quick:
            quick.execute(insert, {"key": second_key})
        trials = read(storage.keeping, study_id)
        assert ["x" in trial.user_attrs for trial in trials] == [False, True, False]
        storage.keeping.set_study_user_attr(study_id, "later", 1)
        assert storage.keeping.attributes(study_id) == {"later": 1}
        again = read(storage.keeping, study_id)
        assert all(new is old for new, old in zip(again, trials, strict=True)), "read once"
    trials = read(storage.keeping, study_id)
    assert ["x" in trial.user_attrs for trial in trials] == [True, True, False]


def test_a_transaction_sees_its_own_changes_and_others_when_they_are_stored(
    storage: Storage, study_id: int
) -> None:
    before = read(storage.keeping, study_id)
    with storage.begin() as connection:
        within = storage.keeping_within(connection)
        new = within.create_new_trial(study_id)
        within.set_study_user_attr(study_id, "budget", 9)
        assert [trial._trial_id for trial in read(within, study_id)][3:] == [new]
        assert within.get_n_trials(study_id, TrialState.RUNNING) == 2
        assert within.attributes(study_id) == {"budget": 9}
        assert read(storage.keeping, study_id) == before
    assert len(read(storage.keeping, study_id)) == 4
    assert storage.keeping.attributes(study_id) == {"budget": 9}


def within_a_transaction(keeping: KeepingStorage, study_id: int) -> None:
    """Everything that a claim, or the end of a study, may write."""
    waiting = keeping.create_new_trial(study_id, a_trial(3, value=None, state=TrialState.WAITING))
    assert keeping.set_trial_state_values(waiting, TrialState.RUNNING)
    keeping.set_trial_user_attr(waiting, "paused", False)
    new = keeping.create_new_trial(study_id)
    with keeping.parameters_together():
        keeping.set_trial_param(new, "batch_size", 16.0, DISTRIBUTIONS["batch_size"])
        keeping.set_trial_param(new, "loss", 2.0, DISTRIBUTIONS["loss"])
    keeping.set_trial_system_attr(new, "fixed_params", {"lr": (1, 2)})
    keeping.set_trial_user_attr(new, "nothing", math.nan)
    keeping.set_trial_intermediate_value(new, 1, 0.5)
    keeping.set_trial_user_attr(new, "fold", 1)
    keeping.set_trial_state_values(new, TrialState.PRUNED, [0.25])
    keeping.set_study_user_attr(study_id, "standing", {"of": (1, 2)})


def without_times(trial: FrozenTrial) -> str:
    return repr({**vars(trial), "_datetime_start": None, "datetime_complete": None})


def test_a_transaction_shows_what_it_writes_as_it_would_be_read(
    storage: Storage, study_id: int
) -> None:
    with storage.begin() as connection:
        keeping = storage.keeping_within(connection)
        read(keeping, study_id)
        within_a_transaction(keeping, study_id)
        anew = storage.keeping_within(connection)
        shown, stored = read(keeping, study_id), read(anew, study_id)
        assert list(map(without_times, shown)) == list(map(without_times, stored))
        for one, other in zip(shown, stored, strict=True):
            assert (one.datetime_start is None) == (other.datetime_start is None)
            assert (one.datetime_complete is None) == (other.datetime_complete is None)
        assert keeping.attributes(study_id) == anew.attributes(study_id)
        for state in TrialState:
            assert keeping.get_n_trials(study_id, state) == anew.get_n_trials(study_id, state)


def test_a_transaction_asks_nothing_to_show_what_it_writes(storage: Storage, study_id: int) -> None:
    with storage.begin() as connection:
        keeping = storage.keeping_within(connection)
        trial = read(keeping, study_id)[2]._trial_id
        keeping.set_trial_user_attr(trial, "paused", True)
        with statements_on(storage) as asked:
            assert keeping.get_trial(trial).user_attrs == {"paused": True}
            assert keeping.get_n_trials(study_id, TrialState.RUNNING) == 1
        assert asked == []


def test_what_comes_to_nothing_is_not_kept(storage: Storage, study_id: int) -> None:
    before = read(storage.keeping, study_id)
    with storage.begin() as connection:
        within = storage.keeping_within(connection)
        within.set_trial_state_values(before[2]._trial_id, TrialState.COMPLETE, [0.5])
        within.create_new_trial(study_id)
        assert len(read(within, study_id)) == 4
        connection.rollback()
    assert read(storage.keeping, study_id) == before
    assert storage.keeping.get_n_trials(study_id, TrialState.RUNNING) == 1


def test_what_has_not_changed_is_not_read_again(storage: Storage, study_id: int) -> None:
    trials = read(storage.keeping, study_id)
    storage.keeping.attributes(study_id)
    storage.keeping.get_n_trials(study_id)
    with statements_on(storage) as asked:
        again = read(storage.keeping, study_id)
        storage.keeping.attributes(study_id)
        storage.keeping.get_n_trials(study_id)
    assert all(new is old for new, old in zip(again, trials, strict=True))
    looks = [one for one in asked if "histsearch_changes" in one]
    assert len(looks) == 3
    assert len(asked) == len(looks)


def test_what_has_changed_comes_with_the_look_that_finds_it(
    storage: Storage, study_id: int
) -> None:
    trials = read(storage.keeping, study_id)
    storage.optuna.set_trial_state_values(trials[2]._trial_id, TrialState.COMPLETE, [0.25])
    storage.optuna.create_new_trial(study_id)
    storage.optuna.set_study_user_attr(study_id, "budget", 12)
    with statements_on(storage) as asked, storage.keeping.at_one_moment():
        again = read(storage.keeping, study_id)
        assert storage.keeping.attributes(study_id) == {"budget": 12}
    assert len(asked) == 1
    assert again == storage.optuna.get_all_trials(study_id)
    assert all(new is old for new, old in zip(again[:2], trials[:2], strict=True))


def test_numbers_of_trials_are_counted_and_no_trial_is_read(
    storage: Storage, study_id: int
) -> None:
    with statements_on(storage) as asked:
        assert storage.keeping.get_n_trials(study_id, TrialState.COMPLETE) == 2
        assert storage.keeping.sum_over_trials(study_id, "seconds") == 1.5
    assert not any(one.startswith("SELECT trial_id, number") for one in asked)
    read(storage.keeping, study_id)
    assert storage.keeping.sum_over_trials(study_id, "seconds") == 1.5


def test_within_one_moment_a_study_is_looked_at_once(storage: Storage, study_id: int) -> None:
    keeping = storage.keeping
    with keeping.at_one_moment():
        before = read(keeping, study_id)
        storage.optuna.create_new_trial(study_id)
        with statements_on(storage) as asked:
            assert read(keeping, study_id) == before
            assert keeping.get_n_trials(study_id) == 3
        assert asked == []
        keeping.set_study_user_attr(study_id, "fit", [1])
        assert keeping.attributes(study_id) == {"fit": [1]}
    assert len(read(keeping, study_id)) == 4


def test_a_deleted_study_is_missed_and_leaves_no_notes(storage: Storage, study_id: int) -> None:
    read(storage.keeping, study_id)
    storage.optuna.delete_study(study_id)
    for ask in (storage.keeping.get_n_trials, storage.keeping.attributes):
        with pytest.raises(KeyError):
            ask(study_id)
    assert notes(storage, study_id) == []


def notes(storage: Storage, study_id: int) -> list[int]:
    """Whose changes are noted."""
    query = text("SELECT trial_id FROM histsearch_changes WHERE study_id = :study ORDER BY 1")
    with storage.begin() as connection:
        return list(connection.execute(query, {"study": study_id}).scalars())


def tidy_after(storage: Storage, study_id: int, trial_id: int, step: int) -> None:
    """Change a trial and remove the needless notes, in one transaction as a claim does."""
    with storage.begin() as connection:
        within = storage.keeping_within(connection)
        within.set_trial_intermediate_value(trial_id, step, 0.5)
        within.forget_superseded(study_id)


def test_notes_that_ones_own_make_needless_are_removed(storage: Storage, study_id: int) -> None:
    keys = [trial._trial_id for trial in read(storage.keeping, study_id)]
    for step in range(1, 5):
        storage.optuna.set_trial_intermediate_value(keys[2], step, 0.5)
    assert notes(storage, study_id).count(keys[2]) == 5
    other = Storage(storage.url)
    other.keeping.get_all_trials(study_id)
    tidy_after(storage, study_id, keys[2], 5)
    assert notes(storage, study_id) == [STUDY_ITSELF, *keys]
    for keeping in (storage.keeping, other.keeping):
        assert read(keeping, study_id) == as_optuna_reads(storage, study_id)


def test_a_change_of_a_transaction_that_began_early_and_ended_late_keeps_its_note(
    storage: Storage, study_id: int
) -> None:
    """Its number is smaller than that of one that had ended when somebody looked."""
    keys = [trial._trial_id for trial in read(storage.keeping, study_id)]
    late = text(
        "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (:id, 'a', 1)"
    )
    with storage.begin() as connection:
        connection.execute(late, {"id": study_id})
        storage.optuna.set_study_user_attr(study_id, "b", 2)
        assert storage.keeping.attributes(study_id)["b"] == 2
    tidy_after(storage, study_id, keys[2], 1)
    assert storage.keeping.attributes(study_id)["a"] == 1


def test_numbers_from_another_server_do_no_harm(storage: Storage, study_id: int) -> None:
    """A restored dump holds those of the server that it came from."""
    before = read(storage.keeping, study_id)
    with storage.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO histsearch_changes SELECT study_id, trial_id, '9999999999' FROM trials"
            )
        )
    assert all(new is old for new, old in zip(read(storage.keeping, study_id), before, strict=True))
    tidy_after(storage, study_id, before[2]._trial_id, 1)
    assert read(storage.keeping, study_id)[2].intermediate_values == {1: 0.5}


def test_tables_that_were_made_anew_are_read_anew(storage: Storage, study_id: int) -> None:
    """As `pg_restore --clean` does, which brings back what was noted long ago."""
    before = read(storage.keeping, study_id)
    storage.optuna.set_trial_intermediate_value(before[2]._trial_id, 1, 0.5)
    with storage.begin() as connection:
        connection.execute(text("CREATE TABLE restored (LIKE histsearch_changes INCLUDING ALL)"))
        connection.execute(text("DROP TABLE histsearch_changes"))
        connection.execute(text("ALTER TABLE restored RENAME TO histsearch_changes"))
    assert read(storage.keeping, study_id)[2].intermediate_values == {1: 0.5}


def test_many_writers_wait_for_nobody(storage: Storage, study_id: int) -> None:
    """Notes of one trial by two open transactions don't collide."""
    keys = [trial._trial_id for trial in read(storage.keeping, study_id)]
    insert = text(
        "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:key, :name, '1')"
    )

    def write(connection: Connection, name: str, trial_ids: list[int]) -> None:
        for key in trial_ids:
            connection.execute(insert, {"key": key, "name": name})

    with storage.begin() as one, storage.begin() as other:
        for connection in (one, other):
            connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        write(one, "one", keys[:1])
        write(other, "other", keys[1:2])
        write(one, "one", keys[1:2])
        write(other, "other", keys[:1])
    assert all({"one", "other"} <= {*one.user_attrs} for one in read(storage.keeping, study_id)[:2])


def test_a_plain_optuna_study_works_beside(storage: Storage) -> None:
    url = storage.url.render_as_string(hide_password=False)
    study = optuna.create_study(storage=url, study_name="plain")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(read(storage.keeping, study._study_id)) == 2
    optuna.delete_study(study_name="plain", storage=url)
    with pytest.raises(KeyError), storage.begin() as connection:
        storage.keeping_within(connection).get_n_trials(study._study_id)


def test_a_parameter_is_set_as_optuna_sets_it(storage: Storage, study_id: int) -> None:
    finished, _, running = (trial._trial_id for trial in read(storage.keeping, study_id))
    narrower = FloatDistribution(1e-4, 0.1, log=True)
    storage.keeping.set_trial_param(running, "lr", 0.01, narrower)
    storage.keeping.set_trial_param(running, "loss", 1, DISTRIBUTIONS["loss"])
    storage.keeping.set_trial_param(running, "new", 1.0, FloatDistribution(0.0, 2.0))
    trial = as_optuna_reads(storage, study_id)[2]
    assert trial.params == {"lr": 0.01, "loss": "triplet", "new": 1.0}
    assert trial.distributions["lr"] == narrower
    with pytest.raises(ValueError, match="different distribution kind"):
        storage.keeping.set_trial_param(running, "batch_size", 1, narrower)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        storage.keeping.set_trial_param(finished, "other", 1.0, FloatDistribution(0.0, 2.0))
    with pytest.raises(KeyError):
        storage.keeping.set_trial_param(10**6, "lr", 0.01, narrower)
