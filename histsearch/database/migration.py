"""Bringing histsearch's own tables up to date, with Alembic."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Select, column, inspect, select, table
from sqlalchemy.engine import Connection

import histsearch
from histsearch.database.revisions import read_revisions
from histsearch.exceptions import StorageError

if TYPE_CHECKING:
    from alembic.config import Config

# Optuna keeps its own revision in Alembic's usual table.
VERSION_TABLE = "histsearch_revision"

_MIGRATIONS = Path(__file__).with_name("migrations")
_CURRENT: Select[str] = select(column("version_num")).select_from(table(VERSION_TABLE))
_OLDEST_SERVER = (13,)  # whose transactions have numbers that aren't used again


class Tables(Enum):
    """What a database has of histsearch's own tables."""

    NONE = "none"
    OLDER = "an older version's"
    CURRENT = "this version's"


def own_tables(connection: Connection) -> Tables:
    """What the database has of histsearch's own tables; nothing is changed.

    Raises:
        StorageError: A newer histsearch has upgraded them already.
    """
    revision = connection.scalar(_CURRENT) if inspect(connection).has_table(VERSION_TABLE) else None
    if revision is None:
        return Tables.NONE
    known = read_revisions(_MIGRATIONS / "versions")
    if revision not in known.all:
        raise StorageError(
            f"found tables of a newer histsearch (revision {revision}), which this one, "
            f"{histsearch.__version__}, doesn't know; install the version that made them"
        )
    return Tables.CURRENT if revision == known.head else Tables.OLDER


def migrate(connection: Connection) -> None:
    """Make the tables, or upgrade them to this version's, in the given transaction.

    The caller holds the schema's lock, so that of many workers that start together one does it.

    Raises:
        StorageError: A newer histsearch has upgraded them already, or PostgreSQL is too old.
    """
    version = connection.dialect.server_version_info or ()
    if version < _OLDEST_SERVER:
        raise StorageError(
            f"found PostgreSQL {'.'.join(map(str, version))}, allowed: {_OLDEST_SERVER[0]} or later"
        )
    if own_tables(connection) != Tables.CURRENT:
        from alembic import command

        command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> "Config":
    """What Alembic's commands need to work on the tables in the given transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
