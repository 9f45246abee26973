import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pytest
import sqlalchemy
from optuna.study import StudyDirection
from sqlalchemy.engine import URL

from benchmarks.throughput.line import line_to
from histsearch.database import connections
from histsearch.database import storage as storage_module
from histsearch.database.storage import Purpose, Storage, parse_storage_url, storage_url
from histsearch.exceptions import DatabaseAwayError, StorageError
from histsearch.studies.catalog import create_search, find_study
from tests.integration.claims import claimed
from tests.integration.database.outage import outage
from tests.integration.database.side_by_side import PROCESSES, run_side_by_side
from tests.integration.studies.small_search import small_space
from tests.waiting import wait_until

PASSWORD = "swordfish"  # noqa: S105 - opens nothing
KEY = 7


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("dialect", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_postgresql_urls_get_their_driver(dialect: str) -> None:
    url = parse_storage_url(f"{dialect}://ann:{PASSWORD}@db.example:5433/studies")
    assert url.render_as_string(hide_password=False) == (
        f"postgresql+psycopg2://ann:{PASSWORD}@db.example:5433/studies"
    )


@pytest.mark.parametrize("dialect", ["sqlite", "mysql", "postgresql+asyncpg"])
def test_another_dialect_is_refused_with_the_reason(dialect: str) -> None:
    with pytest.raises(StorageError) as refusal:
        parse_storage_url(f"{dialect}://ann:{PASSWORD}@db.example/studies")
    message = str(refusal.value)
    assert f'"{dialect}"' in message
    assert "budgets rest on PostgreSQL's locks" in message
    assert PASSWORD not in _printed(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        PASSWORD,
        f"://ann:{PASSWORD}@db.example",
        f"postgresql://ann:{PASSWORD}@db.example:port/studies",
    ],
)
def test_what_is_no_url_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(StorageError, match="form is postgresql://USER") as refusal:
        parse_storage_url(text)
    assert PASSWORD not in _printed(refusal.value)


@pytest.mark.parametrize(
    "password", ["pass@word", "pass@word/word", "pass@5432:word", "pass@word?word", "pass@word#w/d"]
)
def test_a_password_that_would_be_cut_apart_is_refused_without_showing_it(password: str) -> None:
    with pytest.raises(StorageError, match="write %40 for an @ and %2F for a /") as refusal:
        parse_storage_url(f"postgresql://ann:{password}@db.example/studies")
    assert "pass" not in str(refusal.value).replace("password", "")
    assert "word" not in str(refusal.value).replace("password", "")


@pytest.mark.parametrize("sign", [":", "/", "#", "?", "%40", "%2F", "%20"])
def test_a_password_may_hold_other_signs(sign: str) -> None:
    url = parse_storage_url(f"postgresql://ann:pass{sign}word@db.example/studies?sslmode=require")
    assert url.password == f"pass{unquote(sign)}word"
    assert (url.host, url.database) == ("db.example", "studies")


def _printed(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_storage_option_comes_before_the_variable_and_both_before_the_embedded_server(
    postgres: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert storage_url() == postgres
    monkeypatch.setenv("HISTSEARCH_STORAGE", "postgresql://from-variable/studies")
    assert storage_url().host == "from-variable"
    assert storage_url("postgresql://from-option/studies").host == "from-option"


def test_unreachable_port_is_named_without_the_password(closed_port: int) -> None:
    url = parse_storage_url(f"postgresql://ann:{PASSWORD}@127.0.0.1:{closed_port}/studies")
    with pytest.raises(StorageError, match=f"at 127.0.0.1:{closed_port} can't be used") as refusal:
        Storage(url)
    assert PASSWORD not in _printed(refusal.value)


def test_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 1.0)
    # Closing the silent server ends an attempt that goes on for ever.
    with ThreadPoolExecutor() as pool, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        attempt = pool.submit(Storage, parse_storage_url(f"postgresql://127.0.0.1:{port}/studies"))
        assert isinstance(attempt.exception(timeout=10), StorageError)


def test_unknown_database_is_named(database: URL) -> None:
    with pytest.raises(StorageError, match='"nowhere" does not exist'):
        Storage(database.set(database="nowhere"))


def test_unknown_connection_option_is_named(database: URL) -> None:
    with pytest.raises(StorageError, match="sslmod"):
        Storage(database.update_query_dict({"sslmod": "require"}))


def test_user_without_rights_on_the_schema_is_told(database: URL) -> None:
    user = f"guest_of_{database.database}"
    engine = sqlalchemy.create_engine(database, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE ROLE {user} LOGIN"))
        try:
            with pytest.raises(StorageError, match="permission denied for schema public"):
                Storage(database.set(username=user))
        finally:
            connection.execute(sqlalchemy.text(f"DROP ROLE {user}"))
    engine.dispose()


def test_processes_that_open_an_empty_database_together_create_one_schema(database: URL) -> None:
    assert run_side_by_side(8, _number_of_studies, database) == [0] * 8
    engine = sqlalchemy.create_engine(database, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT count(*) FROM version_info")) == 1


def _number_of_studies(url: URL) -> int:
    return len(Storage(url).optuna.get_all_studies())


def test_processes_exclude_each_other_from_a_lock_of_one_key(
    storage: Storage,
) -> None:
    with storage.lock(KEY):
        assert run_side_by_side(1, _can_lock, storage.url, KEY) == [False]
    assert run_side_by_side(1, _can_lock, storage.url, KEY) == [True]


def test_locks_of_different_keys_are_independent(storage: Storage) -> None:
    with storage.lock(KEY):
        assert run_side_by_side(1, _can_lock, storage.url, KEY + 1) == [True]


def test_of_several_locks_all_are_held_or_none(storage: Storage) -> None:
    with storage.lock(KEY, KEY + 1):
        assert run_side_by_side(1, _can_lock, storage.url, KEY) == [False]
        assert run_side_by_side(1, _can_lock, storage.url, KEY + 1) == [False]
    with storage.lock(KEY + 1):
        assert run_side_by_side(1, _can_lock, storage.url, KEY, KEY + 1) == [False]
        assert run_side_by_side(1, _can_lock, storage.url, KEY) == [True]


def _can_lock(url: URL, *keys: int) -> bool:
    storage = Storage(url)
    storage_module.LOCK_SECONDS = 0.5
    try:
        with storage.lock(*keys):
            return True
    except DatabaseAwayError:
        return False


def test_lock_is_free_again_when_its_holder_dies(storage: Storage) -> None:
    holder = PROCESSES.Process(target=_die_with_lock, args=(storage.url, KEY))
    holder.start()
    holder.join()
    assert holder.exitcode == 3
    with storage.lock(KEY):
        pass


def _die_with_lock(url: URL, key: int) -> None:
    with Storage(url).lock(key):
        os._exit(3)


def test_lock_is_free_again_after_an_error(storage: Storage, database: URL) -> None:
    with pytest.raises(ZeroDivisionError), storage.lock(KEY):
        raise ZeroDivisionError
    with Storage(database).lock(KEY):
        pass


def test_whoever_waits_for_a_lock_holds_no_connection(storage: Storage, database: URL) -> None:
    waiting = Storage(database.update_query_dict({"application_name": "waiting"}))
    in_transaction = sqlalchemy.text(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waiting' "
        "AND (wait_event_type = 'Lock' OR state = 'idle in transaction')"
    )
    with ThreadPoolExecutor() as pool:
        with storage.lock(KEY):
            attempt = pool.submit(_lock_once, waiting)
            for _ in range(20):
                with storage.begin() as connection:
                    held = connection.scalar(in_transaction)
                if not held:
                    break
            assert not attempt.done()
            assert held == 0
        attempt.result(timeout=30)


def _lock_once(storage: Storage) -> None:
    with storage.lock(KEY):
        pass


def test_an_answer_that_takes_too_long_breaks_the_connection_and_the_next_works(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.3)
    with pytest.raises(DatabaseAwayError, match="doesn't answer"), storage.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_sleep(30)"))
    with storage.begin() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1


def test_a_storage_hurries_its_own_waits_alone(
    database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HURRIED_ANSWER_SECONDS", 0.5)
    is_stopping = threading.Event()
    patient = Storage(database)
    stopping = Storage(database, should_hurry=is_stopping.is_set)
    is_stopping.set()
    with pytest.raises(DatabaseAwayError, match="doesn't answer"), stopping.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_sleep(30)"))
    with patient.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_sleep(1)"))


def test_reading_the_module_leaves_others_connections_alone() -> None:
    program = (
        "import psycopg2.extensions\n"
        "import histsearch.database.storage\n"
        "assert psycopg2.extensions.get_wait_callback() is None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_broken_connection_is_replaced(storage: Storage, database: URL) -> None:
    with outage(database), pytest.raises(StorageError), storage.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    with storage.begin() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1


def test_what_is_written_inside_a_transaction_is_lost_with_it(storage: Storage) -> None:
    study_id = storage.optuna.create_new_study([StudyDirection.MAXIMIZE], "one")

    def write_and_fail() -> None:
        with storage.begin() as connection:
            storage.optuna_within(connection).set_study_user_attr(study_id, "a", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert storage.optuna.get_study_user_attrs(study_id) == {}
    with storage.begin() as connection:
        storage.optuna_within(connection).set_study_user_attr(study_id, "a", 1)
    assert storage.optuna.get_study_user_attrs(study_id) == {"a": 1}


def _allowed_pause(connection: sqlalchemy.Connection) -> object:
    return connection.scalar(sqlalchemy.text("SHOW idle_in_transaction_session_timeout"))


def test_a_transaction_may_pause_for_as_long_as_its_storage_was_told(storage: Storage) -> None:
    found = []
    for seconds in (40, 1, 1000):
        storage.limit_pauses(seconds)
        with storage.begin() as connection, storage.lock(KEY) as locked:
            found.append((_allowed_pause(connection), _allowed_pause(locked)))
    assert found == [("40s", "40s"), ("15s", "15s"), ("2min", "2min")]
    with storage.lock(KEY, pause_seconds=20) as connection:
        assert _allowed_pause(connection) == "20s"
    # Optuna's own transactions hold locks as well.
    with storage.optuna.engine.begin() as connection:
        assert _allowed_pause(connection) == "2min"


def test_a_process_keeps_one_connection_while_it_asks_nothing(database: URL) -> None:
    mine = Storage(database.update_query_dict({"application_name": "mine"}))
    with mine.begin() as one, mine.begin() as two, mine.begin() as three:
        for connection in (one, two, three):
            connection.execute(sqlalchemy.text("SELECT 1"))
    count = sqlalchemy.text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mine'")
    with mine.singly() as connection:  # a transaction sees the same backends to its end
        wait_until(lambda: connection.scalar(count) == 1, "the backends' ends")


def test_who_only_reads_changes_nothing(storage: Storage) -> None:
    reading = Storage(storage.url, Purpose.READ)
    for connected in (reading.begin, reading.singly):
        with pytest.raises(StorageError, match="may only read"), connected() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM studies"))


def test_many_sets_of_values_are_one_transaction(storage: Storage) -> None:
    names = [{"name": name} for name in ("one", "two")]

    def write_and_fail() -> None:
        with storage.begin() as connection:
            statement = sqlalchemy.text("INSERT INTO studies (study_name) VALUES (:name)")
            connection.execute(statement, names)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert storage.optuna.get_all_studies() == []


def test_a_dozen_processes_open_and_claim_by_a_connection_each(
    database: URL, tmp_path: Path
) -> None:
    study = create_search(Storage(database), small_space(sampler="random", trials=12, enqueue=[]))
    with line_to(database, tmp_path) as line:
        numbers = run_side_by_side(12, _claimed_number, line.url, study.name)
        assert sorted(numbers) == list(range(12))
        assert line.connections == line.most_connections == 12


def _claimed_number(url: URL, study: str) -> int:
    return claimed(find_study(Storage(url), study)).trial.number
