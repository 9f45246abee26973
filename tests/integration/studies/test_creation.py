"""A study is created whole or not at all, whenever its creator dies."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.studies.catalog import create_search, find_study, list_studies
from histsearch.studies.retraining import create_retraining
from histsearch.studies.retraining_seeds import FIRST_SEED
from histsearch.studies.study import BUDGET, Study
from histsearch.studies.trial_record import EPOCHS, ROLE, SOURCE_TRIAL
from tests.integration.claims import claim_next, claimed
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space

QUEUE = [{**ENQUEUED, "batch_size": size} for size in (8, 16, 32)]


class Left(NamedTuple):
    """Numbers of what a database holds of a study."""

    trials: int
    trial_attributes: int
    attributes: int


_LEFT = sqlalchemy.text(
    """
    SELECT (SELECT count(*) FROM trials WHERE trials.study_id = studies.study_id),
           (SELECT count(*) FROM trial_user_attributes JOIN trials USING (trial_id)
             WHERE trials.study_id = studies.study_id),
           (SELECT count(*) FROM study_user_attributes AS attribute
             WHERE attribute.study_id = studies.study_id)
      FROM studies WHERE study_name = :name
    """
)


@pytest.fixture
def search(storage: Storage) -> Study:
    study = create_search(storage, small_space())
    study.check_images("these")
    complete_next(study, 0.5, best_epoch=3)
    return study


@contextmanager
def seen_by_others(storage: Storage, database: URL, name: str) -> Iterator[list[Left | None]]:
    """What other connections see of a study before each statement and each commit, and at last.

    Of a process that is killed at that moment, exactly this is left.
    """
    others = sqlalchemy.create_engine(database)
    seen: list[Left | None] = []

    def look(*_: object) -> None:
        with others.connect() as connection:
            row = connection.execute(_LEFT, {"name": name}).one_or_none()
        seen.append(None if row is None else Left(*row))

    for moment in ("before_cursor_execute", "commit"):
        event.listen(storage.optuna.engine, moment, look)
    yield seen
    for moment in ("before_cursor_execute", "commit"):
        event.remove(storage.optuna.engine, moment, look)
    look()
    others.dispose()


def test_a_search_is_there_whole_or_not_at_all(storage: Storage, database: URL) -> None:
    with seen_by_others(storage, database, "small") as seen:
        create_search(storage, small_space(enqueue=QUEUE))
    assert seen.count(None) > 30
    assert seen[-1] == Left(trials=3, trial_attributes=0, attributes=4)
    assert set(seen) == {None, seen[-1]}


def test_a_retraining_is_there_whole_or_not_at_all(search: Study, database: URL) -> None:
    with seen_by_others(search.storage, database, "small-retrain") as seen:
        create_retraining(search, seeds=4)
    assert seen.count(None) > 30
    assert seen[-1] is not None
    assert seen[-1].trials == 4
    assert seen[-1].trial_attributes >= 4 * len((ROLE, SOURCE_TRIAL, EPOCHS))
    assert set(seen) == {None, seen[-1]}


def test_a_configuration_is_enqueued_with_its_place_in_the_budget(
    search: Study, storage: Storage, database: URL
) -> None:
    others = Storage(database)
    search.optuna_study.set_user_attr(BUDGET, 1)
    seen = set()

    def look(*_: object) -> None:
        study = find_study(others, "small")
        seen.add((study.count(), study.budget))

    event.listen(storage.optuna.engine, "commit", look)
    assert search.enqueue(QUEUE[0]) == 2
    event.remove(storage.optuna.engine, "commit", look)
    look()
    assert seen == {(1, 1), (2, 2)}


# Forks for each kill, so that histsearch is imported once.
_KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import make_url
from histsearch.database.storage import Storage
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.retraining import create_retraining
from histsearch.studies.retraining_seeds import FIRST_SEED
from tests.integration.studies.small_search import small_space

storage = Storage(make_url(sys.argv[1]))
engine = storage.optuna.engine


def killed(create, step):
    child = os.fork()
    if child == 0:
        engine.dispose(close=False)
        left = iter(range(step))
        def die(*_):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
        event.listen(engine, "before_cursor_execute", die)
        event.listen(engine, "commit", die)
        create()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


queue = [{"alpha": 0.9, "lr": 1e-4, "batch_size": size} for size in (8, 16, 32)]
creations = {
    "small": lambda: create_search(storage, small_space(enqueue=queue)),
    "again": lambda: create_retraining(find_study(storage, "done"), name="again", seeds=3),
}
strides = {"small": 3, "again": 5}
for name, create in creations.items():
    step = 2
    while killed(create, step):
        names = [frozen.study_name for frozen in storage.optuna.get_all_studies()]
        print(name, step, name in names, flush=True)
        if name in names:
            break
        step += strides[name]
"""


def test_a_creator_that_is_killed_leaves_nothing(storage: Storage, database: URL) -> None:
    complete_next(create_search(storage, small_space(), name="done"), 0.5)
    url = database.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, url], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    kills = [line.split() for line in done.stdout.splitlines()]
    for name in ("small", "again"):
        left = [there for killed, _, there in kills if killed == name]
        assert left.count("False") >= 4
    # One that was killed when all was stored has left all of it.
    held = {name: find_study(storage, name).count() for name in ("small", "again")}
    assert held == {"small": 3, "again": 3}


def test_only_a_person_pauses_a_study(search: Study) -> None:
    assert not search.paused
    assert not create_retraining(search).paused


@pytest.mark.parametrize("foreign", [{}, {"alpha": 0.9}, {**ENQUEUED, "seed": 7}])
def test_a_retraining_runs_its_own_trials_alone(
    search: Study, foreign: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    retraining = create_retraining(search, seeds=2)
    retraining.optuna_study.enqueue_trial(foreign)
    retraining.optuna_study.set_user_attr(BUDGET, 5)
    runs = [claimed(retraining), claimed(retraining)]
    assert [run.trial.params for run in runs] == [
        {**ENQUEUED, "seed": seed} for seed in (FIRST_SEED, FIRST_SEED + 1)
    ]
    assert claim_next(retraining) is None
    assert [trial.number for trial in retraining.trials(TrialState.FAIL)] == [2]
    reason = "queued from outside: a retraining runs what histsearch retrain queued alone"
    assert retraining.trials()[2].user_attrs["reason"] == reason
    assert f"small-retrain #2  failed: {reason}" in caplog.text
    assert not retraining.is_open


def test_a_value_that_a_search_does_not_have_fails_its_trial_and_no_worker(
    storage: Storage,
) -> None:
    search = create_search(storage, small_space(enqueue=[]))
    search.optuna_study.enqueue_trial({"alpha": 77.0})
    search.optuna_study.enqueue_trial({"alpha": 1.1, "note": "unknown to the space"})
    assert claimed(search).trial.params["alpha"] == 1.1
    (failed,) = search.trials(TrialState.FAIL)
    assert failed.user_attrs["reason"] == (
        "queued from outside: configuration.alpha: found 77.0, allowed: one of [0.9, 1.0, 1.1]"
    )


def test_an_empty_name_is_refused_and_not_taken_for_none(search: Study) -> None:
    with pytest.raises(StudyError, match="found the study name '', allowed: up to 100 letters"):
        create_search(search.storage, small_space(name="other"), name="")
    with pytest.raises(StudyError, match="found the study name '', allowed: up to 100 letters"):
        create_retraining(search, name="")
    assert [study.name for study in list_studies(search.storage)] == ["small"]
