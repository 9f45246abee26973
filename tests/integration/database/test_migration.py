from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from optuna.study import StudyDirection
from sqlalchemy.engine import URL

from histsearch.database import tables
from histsearch.database.migration import VERSION_TABLE, alembic_config, migrate
from histsearch.database.migrations import versions
from histsearch.database.storage import Storage
from histsearch.exceptions import StorageError
from histsearch.workers.registry import Activity, beat
from tests.integration.claims import signed_on
from tests.integration.database.side_by_side import run_side_by_side

REVISION = sqlalchemy.table(VERSION_TABLE, sqlalchemy.column("version_num"))
HEAD = max(path.name[1:5] for path in Path(versions.__file__).parent.glob("r*.py"))
OWN = {table.name for table in tables.OWN_TABLES}


def test_the_migrations_lead_to_the_tables_of_the_code(storage: Storage) -> None:
    def is_own(_: object, name: str | None, kind: str, *__: object) -> bool:
        return kind != "table" or name in OWN

    with storage.begin() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "include_object": is_own,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, tables.metadata) == []


def test_processes_that_start_together_migrate_once(database: URL) -> None:
    assert run_side_by_side(6, _revisions, database) == [[HEAD]] * 6


def _revisions(url: URL) -> list[str]:
    with Storage(url).begin() as connection:
        return list(connection.execute(sqlalchemy.select(REVISION.c.version_num)).scalars())


def test_tables_of_a_newer_histsearch_are_refused_and_left_as_they_are(
    storage: Storage, database: URL
) -> None:
    with storage.begin() as connection:
        connection.execute(sqlalchemy.update(REVISION).values(version_num="9999"))
    with pytest.raises(StorageError, match=r"a newer histsearch \(revision 9999\)"):
        Storage(database)
    assert _version(storage) == "9999"


def test_workers_of_before_heartbeats_were_counted_are_kept(
    storage: Storage, database: URL
) -> None:
    worker_id = signed_on(storage)
    with storage.begin() as connection:
        command.downgrade(alembic_config(connection), "0001")
    assert _version(storage) == "0001"
    again = Storage(database)
    assert _version(again) == HEAD
    assert beat(again, worker_id, Activity("idle"), None)
    with again.begin() as connection:
        row = connection.execute(sqlalchemy.select(tables.workers)).one()
    assert (row.id, row.beats, row.serves, row.slots) == (worker_id, 1, [], 1)


def _version(storage: Storage) -> str:
    with storage.begin() as connection:
        return str(connection.scalar(sqlalchemy.select(REVISION.c.version_num)))


def test_a_database_of_before_these_tables_is_migrated(storage: Storage, database: URL) -> None:
    storage.optuna.create_new_study([], "kept")
    with storage.begin() as connection:
        for table in (VERSION_TABLE, *OWN):
            connection.execute(sqlalchemy.text(f"DROP TABLE {table} CASCADE"))
    assert [one.study_name for one in Storage(database).optuna.get_all_studies()] == ["kept"]
    assert _version(storage) == HEAD


def test_a_database_keeps_the_key_that_was_drawn_for_it(storage: Storage, database: URL) -> None:
    assert Storage(database).key == storage.key
    with storage.begin() as connection:
        for table in (VERSION_TABLE, *OWN):
            connection.execute(sqlalchemy.text(f"DROP TABLE {table} CASCADE"))
    assert Storage(database).key != storage.key


def test_an_old_postgresql_is_named(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with storage.begin() as connection:
        monkeypatch.setattr(connection.dialect, "server_version_info", (12, 9))
        with pytest.raises(StorageError, match=r"found PostgreSQL 12\.9, allowed: 13 or later"):
            migrate(connection)


def test_the_tables_can_be_taken_back_and_made_again(storage: Storage, database: URL) -> None:
    with storage.begin() as connection:
        command.downgrade(alembic_config(connection), "0003")
    study_id = storage.optuna.create_new_study([StudyDirection.MAXIMIZE], "one")
    again = Storage(database)
    assert again.keeping.get_n_trials(study_id) == 0
    storage.optuna.create_new_trial(study_id)
    assert again.keeping.get_n_trials(study_id) == 1
