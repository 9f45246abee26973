"""What is worked out of a study once for all workers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from histsearch.database.storage import Storage
from histsearch.database.tables import conclusions, workers
from histsearch.studies import study_end
from histsearch.studies.catalog import create_search, delete_study
from histsearch.studies.conclusion import Conclusion, conclude
from histsearch.studies.study import Study
from tests.integration.claims import claimed, signed_on
from tests.integration.studies.small_search import small_space
from tests.waiting import wait_until

FOUND = Conclusion("it is over", 0.01)


@pytest.fixture
def study(storage: Storage) -> Study:
    return create_search(storage, small_space(sampler="freeze-thaw", trials=9))


def never() -> Conclusion:
    raise AssertionError("it was worked out already, or another is at it")


def test_the_first_who_asks_works_it_out_and_the_others_read_it(study: Study) -> None:
    first, second = signed_on(study.storage), signed_on(study.storage)
    assert conclude(study, "over?", first, lambda: FOUND) == FOUND
    assert conclude(study, "over?", second, never) == FOUND
    assert conclude(study, "over?", first, never) == FOUND


def test_who_asks_meanwhile_does_not_wait(study: Study) -> None:
    first, second = signed_on(study.storage), signed_on(study.storage)

    def while_another_asks() -> Conclusion:
        assert conclude(study, "over?", second, never) is None
        claimed(study)
        assert conclude(study, "over?", second, never) is None, "the study stands otherwise now"
        return FOUND

    assert conclude(study, "over?", first, while_another_asks) == FOUND


@pytest.mark.parametrize("change", ["question", "trial", "epoch", "state"])
def test_it_is_asked_anew_when_the_study_or_the_question_changes(study: Study, change: str) -> None:
    worker = signed_on(study.storage)
    claim = claimed(study)
    assert conclude(study, "over?", worker, lambda: FOUND) == FOUND
    changes: dict[str, Callable[[], object]] = {
        "question": lambda: None,
        "trial": lambda: claimed(study),
        "epoch": lambda: claim.record({}, {1: 0.5}),
        "state": claim.pause,
    }
    changes[change]()
    question = "really over?" if change == "question" else "over?"
    assert conclude(study, question, worker, Conclusion) == Conclusion()


@pytest.mark.parametrize("how", ["ended", "silent"])
def test_a_worker_that_is_gone_is_not_waited_for(study: Study, how: str) -> None:
    gone, other = signed_on(study.storage), signed_on(study.storage)
    hour = func.make_interval(0, 0, 0, 0, 1)
    values: dict[str, dict[str, Any]] = {
        "ended": {"ended_at": func.now()},
        "silent": {"heartbeat_at": func.now() - hour},
    }

    def end() -> Conclusion:
        with study.storage.begin() as connection:
            connection.execute(update(workers).where(workers.c.id == gone).values(**values[how]))
        assert conclude(study, "over?", other, lambda: FOUND) == FOUND
        return Conclusion("too late")

    conclude(study, "over?", gone, end)
    assert conclude(study, "over?", other, never) == FOUND


def test_a_failure_keeps_nobody_from_going_on(study: Study) -> None:
    first, second = signed_on(study.storage), signed_on(study.storage)

    def fail() -> Conclusion:
        raise ArithmeticError("too large")

    with pytest.raises(ArithmeticError):
        conclude(study, "over?", first, fail)
    assert conclude(study, "over?", second, never) == Conclusion()
    claimed(study)
    assert conclude(study, "over?", second, lambda: FOUND) == FOUND


def test_workers_ask_their_model_once_whether_a_study_ends(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = {"delta": 1.0, "epsilon": 0.05}
    study = create_search(storage, small_space(sampler="freeze-thaw", decided=decided, trials=9))
    claimed(study).record({}, {1: 0.5})
    asked = []
    none_is_better = study_end._none_is_better

    def ask(*arguments: object) -> Conclusion:
        asked.append(arguments)
        return none_is_better(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(study_end, "_none_is_better", ask)
    for _ in range(3):
        study_end.end_if_due(study, signed_on(storage))
    assert len(asked) == 1
    assert study.chance_of_better == 1.0


def test_a_chance_that_could_not_be_noted_is_noted_later(study: Study) -> None:
    worker = signed_on(study.storage)
    with study.storage.lock(study.id):
        conclude(study, "over?", worker, lambda: Conclusion(chance=0.25))
    assert study.chance_of_better is None
    conclude(study, "over?", worker, never)
    assert study.chance_of_better == 0.25


def test_a_study_that_is_being_deleted_is_concluded_without_a_fault(study: Study) -> None:
    worker, other = signed_on(study.storage), Storage(study.storage.url)

    def conclude_it() -> Conclusion | None:
        return conclude(study, "over?", worker, lambda: Conclusion(chance=0.25))

    def is_waited_for() -> bool:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        with other.singly() as looking:
            return bool(looking.scalar(text(waiting)))

    study.trials()  # what is asked first finds it
    with ThreadPoolExecutor(1) as pool, study.at_one_moment():
        with other.begin() as connection:
            other.optuna_within(connection).delete_study(study.id)
            concluded = pool.submit(conclude_it)
            wait_until(lambda: concluded.done() or is_waited_for(), "the deletion to matter")
        assert concluded.result() is None
    with study.storage.begin() as connection:
        assert connection.execute(select(conclusions)).all() == []


def test_a_deleted_study_leaves_nothing(study: Study) -> None:
    conclude(study, "over?", signed_on(study.storage), lambda: FOUND)
    delete_study(study.storage, study.name)
    with study.storage.begin() as connection:
        assert connection.execute(select(conclusions)).all() == []
