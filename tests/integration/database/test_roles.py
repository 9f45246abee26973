"""What roles with few rights may do, and what is left as it was."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.engine import URL
from typer.testing import CliRunner, Result

from histsearch.cli.main import app
from histsearch.database import foreign_tables
from histsearch.database.embedded_postgres import server
from histsearch.database.migration import alembic_config
from histsearch.database.storage import Purpose, Storage
from histsearch.exceptions import HistsearchError, StorageError
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from histsearch.studies.store_keys import states_key
from histsearch.studies.study import Study
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.workers.registry import list_workers
from tests.integration.claims import claimed, signed_on
from tests.integration.database.roles import READ, WRITE, execute, role, rows
from tests.integration.studies.small_search import complete_next, small_space

READING = (
    "status",
    "status --json",
    "study list",
    "study show small",
    "study show small --json",
    "study best small",
    "study export small",
    "study export small --format json",
    "report small --out {tmp}/report",
    "data states --checkpoints {tmp}",
    "data states --clean --checkpoints {tmp}",
    "db status",
    "db url",
)
CHANGING = (
    "study pause small",
    "study resume small-retrain",
    "study set small trials=9",
    "study enqueue small alpha=1.0",
    "retrain small --add-seeds 2",
    "retrain small --name another",
    "study delete small-retrain --yes --checkpoints {tmp}",
)
CREATING = (
    "study create {tmp}/space.toml",
    "worker --device cpu --drain --data {tmp} --checkpoints {tmp}",
)
PATIENCE_SECONDS = 120.0
SPACE = """
name = "new"
dataset = "glyphs"
backbone = "conv4"
epochs = 2
trials = 2
search = { tau = [16, 32] }
"""


def run(line: str, url: URL, tmp_path: Path) -> Result:
    (tmp_path / "space.toml").write_text(SPACE)
    words = line.format(tmp=tmp_path).split()
    return CliRunner().invoke(app, [*words, "--storage", url.render_as_string(hide_password=False)])


def refusal(line: str, url: URL, tmp_path: Path) -> str:
    """The sentence with which a command refuses."""
    if line.startswith("worker"):
        return worker_refusal(line, url, tmp_path)
    done = run(line, url, tmp_path)
    assert isinstance(done.exception, HistsearchError), (line, done.output, done.exception)
    return str(done.exception)


def worker_refusal(line: str, url: URL, tmp_path: Path) -> str:
    """That of a worker, which ends its whole process."""
    words = line.format(tmp=tmp_path).split()
    done = subprocess.run(
        [sys.executable, "-m", "histsearch", *words],
        env={**os.environ, "HISTSEARCH_STORAGE": url.render_as_string(hide_password=False)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 2, (line, done.stdout, done.stderr)
    return done.stderr.strip().splitlines()[-1].removeprefix("error: ")


@pytest.fixture
def search(storage: Storage) -> Study:
    """A search that has run, its retraining, and a worker."""
    study = create_search(storage, small_space(trials=2))
    complete_next(study, 0.5)
    complete_next(study, 0.6)
    create_retraining(study, name="small-retrain", top=1, seeds=2).pause()
    signed_on(storage)
    return study


def test_a_role_that_may_read_sees_everything_and_is_told_what_it_may_not_do(
    search: Study, database: URL, tmp_path: Path
) -> None:
    before = rows(database)
    with role(database, READ) as reader:
        for line in READING:
            done = run(line, reader, tmp_path)
            assert done.exit_code == 0, (line, done.output, done.exception)
        for line in (*CHANGING, *CREATING):
            message = refusal(line, reader, tmp_path)
            assert re.fullmatch(
                rf'role "{reader.username}" may not write to database "{database.database}" at '
                r"\S+ \(permission denied for \w+ \w+\); use another role, or GRANT SELECT, INSERT,"
                r' UPDATE, DELETE ON ALL TABLES IN SCHEMA "public" TO "\w+" and GRANT USAGE .*',
                message,
            ), (line, message)
    assert rows(database) == before
    assert search.count(TrialState.COMPLETE) == 2


def test_a_role_whose_transactions_only_read_is_told_so(
    search: Study, database: URL, tmp_path: Path
) -> None:
    before = rows(database)
    with role(database, *WRITE, "ALTER ROLE {role} SET default_transaction_read_only = on") as url:
        assert run("study show small", url, tmp_path).exit_code == 0
        for line in ("study pause small", *CREATING):
            assert f'role "{url.username}" may only read in database' in refusal(
                line, url, tmp_path
            )
    assert rows(database) == before
    assert not search.paused


def test_a_role_that_may_write_but_make_no_tables_can_do_everything(
    search: Study, database: URL, tmp_path: Path
) -> None:
    with role(database, *WRITE) as writer:
        for line in (*READING, *CHANGING, CREATING[0]):
            done = run(line, writer, tmp_path)
            assert done.exit_code == 0, (line, done.output, done.exception)
    assert search.storage.optuna.get_study_id_from_name("new")


def test_an_empty_database_is_named_and_stays_empty(database: URL, tmp_path: Path) -> None:
    for line in (*READING[:-1], *CHANGING):
        message = refusal(line, database, tmp_path)
        assert f'found no histsearch tables in database "{database.database}" at' in message
    assert rows(database) == {}


def test_the_embedded_server_begins_without_studies(
    database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "start", lambda: database)
    assert "no studies yet" in CliRunner().invoke(app, ["status"]).stdout
    assert "no studies yet" in CliRunner().invoke(app, ["study", "list"]).stdout
    assert 'no study "small"' in str(CliRunner().invoke(app, "study pause small").exception)


def test_reading_commands_leave_the_tables_of_an_older_version_as_they_are(
    search: Study, database: URL, tmp_path: Path
) -> None:
    with search.storage.begin() as connection:
        command.downgrade(alembic_config(connection), "0001")
    before = rows(database)
    for line in ("status", "study list", "report small --out {tmp}/report", "db status"):
        assert "found tables of a histsearch older than" in refusal(line, database, tmp_path)
    with role(database, *WRITE) as writer:
        assert "may not bring the tables" in refusal("db upgrade", writer, tmp_path)
    assert rows(database) == before
    assert run("db upgrade", database, tmp_path).exit_code == 0
    assert run("status", database, tmp_path).exit_code == 0


def test_a_role_without_rights_on_what_was_made_later_is_told_what_to_grant(
    storage: Storage, database: URL, tmp_path: Path
) -> None:
    assert storage.key
    with role(database, READ, "REVOKE SELECT ON histsearch_workers FROM {role}") as url:
        message = refusal("status", url, tmp_path)
    assert "may not read histsearch's tables" in message
    assert f'GRANT SELECT ON ALL TABLES IN SCHEMA "public" TO "{url.username}"' in message


def test_changes_are_noted_whatever_the_writer_may_do_with_the_notes(
    search: Study, database: URL
) -> None:
    before = search.count()
    with role(database, *WRITE, "REVOKE ALL ON histsearch_changes FROM {role}") as writer:
        url = writer.render_as_string(hide_password=False)
        plain = RDBStorage(url, skip_table_creation=True)
        plain.create_new_trial(search.id)
        plain.engine.dispose()
    assert search.count() == before + 1


def test_a_role_that_does_not_own_optunas_tables_is_told_so(database: URL) -> None:
    RDBStorage(database.render_as_string(hide_password=False)).engine.dispose()
    owner_can = "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"
    no_triggers = "REVOKE TRIGGER ON ALL TABLES IN SCHEMA public FROM {role}"
    may_create = "GRANT USAGE, CREATE ON SCHEMA public TO {role}"
    advice = "run histsearch db upgrade as the role that owns"
    with (
        role(database, owner_can, no_triggers, may_create) as url,
        pytest.raises(StorageError, match=advice),
    ):
        Storage(url)


def test_a_role_that_may_make_no_tables_is_told_what_to_grant(
    database: URL, tmp_path: Path
) -> None:
    with role(database) as url:
        for line in CREATING:
            message = refusal(line, url, tmp_path)
            assert "may not create tables" in message
            assert f'GRANT USAGE, CREATE ON SCHEMA "public" TO "{url.username}"' in message
    assert rows(database) == {}


def test_a_role_without_a_schema_is_told_so(database: URL, tmp_path: Path) -> None:
    execute(database, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    with role(database) as url:
        assert "may use no schema" in refusal("status", url, tmp_path)


def test_a_role_that_may_not_connect_is_told_what_to_grant(database: URL, tmp_path: Path) -> None:
    execute(database, f"REVOKE CONNECT ON DATABASE {database.database} FROM PUBLIC")
    with role(database) as url:
        for line in ("status", CREATING[1]):
            assert f'GRANT CONNECT ON DATABASE "{database.database}"' in refusal(
                line, url, tmp_path
            )


def test_studies_live_beside_those_of_a_plain_optuna(database: URL, tmp_path: Path) -> None:
    plain = RDBStorage(database.render_as_string(hide_password=False))
    plain.create_new_study([], "theirs")
    before = rows(database)
    assert "no histsearch tables" in refusal("status", database, tmp_path)
    assert rows(database) == before
    assert run(CREATING[0], database, tmp_path).exit_code == 0
    assert {study.study_name for study in plain.get_all_studies()} == {"theirs", "new"}


def test_the_tables_of_another_optuna_are_left_as_they_are(database: URL, tmp_path: Path) -> None:
    RDBStorage(database.render_as_string(hide_password=False))
    execute(
        database,
        "DROP TABLE trial_heartbeats",
        "UPDATE alembic_version SET version_num = 'v3.0.0.a'",
    )
    before = rows(database)
    assert "optuna storage upgrade" in refusal(CREATING[0], database, tmp_path)
    assert rows(database) == before


@pytest.mark.parametrize("name", ["alembic_version", "trials"])
def test_another_applications_tables_are_left_alone(
    database: URL, tmp_path: Path, name: str
) -> None:
    execute(database, f"CREATE TABLE {name} AS SELECT 7 AS version_num")
    before = rows(database)
    for line in CREATING:
        message = refusal(line, database, tmp_path)
        assert "another application's tables in database" in message
        assert f"({name})" in message
    assert rows(database) == before


@pytest.fixture
def encoded(database: URL) -> Callable[[str], None]:
    """Makes the database anew, in another encoding."""
    name = database.database

    def make(encoding: str) -> None:
        execute(
            database.set(database="postgres"),
            f"DROP DATABASE {name}",
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'",
        )

    return make


def test_a_database_without_an_encoding_holds_every_text(
    database: URL, encoded: Callable[[str], None]
) -> None:
    encoded("SQL_ASCII")
    storage = Storage(database)
    signed_on(storage, host="zoë ✗")
    assert [worker.identity.host for worker in list_workers(storage)] == ["zoë ✗"]


def test_an_encoding_that_cannot_hold_every_text_is_named(
    database: URL, encoded: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded("LATIN1")
    with pytest.raises(StorageError, match=r"found the encoding LATIN1 of .* allowed: UTF8"):
        Storage(database)
    assert rows(database) == {}
    monkeypatch.setattr(foreign_tables, "_ENCODINGS", ("LATIN1",))  # made by an earlier version
    storage = Storage(database)
    signed_on(storage, host="zoë")
    with pytest.raises(StorageError, match=r"can't hold a text .* whose encoding is UTF8"):
        signed_on(storage, host="✗")


def test_states_are_not_cleaned_where_row_level_security_may_hide_their_study(
    search: Study, database: URL, tmp_path: Path
) -> None:
    store = open_checkpoint_store(str(tmp_path))
    trial = claimed(create_search(search.storage, small_space(), name="runs"))
    kept = f"{states_key(trial.study, trial.trial.number)}/attempt-1/a.ckpt"
    store.write(kept, b"state")
    hide = "ALTER TABLE studies ENABLE ROW LEVEL SECURITY"
    with role(database, READ, hide) as url:
        message = refusal("data states --clean --checkpoints {tmp}", url, tmp_path)
        assert "row-level security may hide studies" in message
        execute(database, "ALTER TABLE histsearch_database ENABLE ROW LEVEL SECURITY")
        assert "row-level security" in refusal("status", url, tmp_path)
    assert store.read(kept) == b"state"


def test_postgresql_itself_keeps_a_reader_from_writing(database: URL, storage: Storage) -> None:
    assert storage.key
    reading = Storage(database, Purpose.READ)
    with pytest.raises(StorageError, match="may only read"):
        reading.optuna.create_new_study([], "new")
