"""Bringing histsearch's own tables up to date, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

import histsearch
from histsearch.exceptions import StorageError

# Optuna keeps its own revision in Alembic's usual table.
VERSION_TABLE = "histsearch_revision"


def migrate(connection: Connection) -> None:
    """Upgrade the tables to this version's, in the given transaction.

    The caller holds the schema's lock, so that of many workers that start together one does it.

    Raises:
        StorageError: a newer histsearch has upgraded them already.
    """
    config = alembic_config(connection)
    scripts = ScriptDirectory.from_config(config)
    options = {"version_table": VERSION_TABLE}
    revision = MigrationContext.configure(connection, opts=options).get_current_revision()
    if revision == scripts.get_current_head():
        return
    if revision not in (None, *(script.revision for script in scripts.walk_revisions())):
        raise StorageError(
            f"found tables of a newer histsearch (revision {revision}), which this one, "
            f"{histsearch.__version__}, doesn't know; install the version that made them"
        )
    command.upgrade(config, "head")


def alembic_config(connection: Connection) -> Config:
    """What Alembic's commands need to work on the tables in the given transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config
