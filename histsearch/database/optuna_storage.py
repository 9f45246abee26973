"""Optuna's storage on connections of ours."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy import text
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.orm import scoped_session, sessionmaker

_REVISION = text("SELECT version_num FROM alembic_version")


def open_optuna(engine: Engine) -> RDBStorage | None:
    """Optuna's storage that works through an engine; None where the tables aren't this Optuna's.

    Its own constructor would connect anew, and ask for its version again and again.
    """
    with engine.begin() as connection:
        if connection.scalar(_REVISION) != _known_revision():
            return None
    storage = RDBStorage.__new__(RDBStorage)
    storage.engine = engine
    storage.scoped_session = scoped_session(sessionmaker(bind=engine))
    storage.heartbeat_interval = None
    return storage


def check_optuna(url: URL, connect_arguments: Mapping[str, Any], *, has_tables: bool) -> None:
    """Make Optuna's tables where there are none.

    Raises:
        RuntimeError: They are another Optuna's.
    """
    checked = RDBStorage(
        url.render_as_string(hide_password=False),
        engine_kwargs={"connect_args": dict(connect_arguments)},
        # It would add what a later Optuna has to tables of an earlier one.
        skip_table_creation=has_tables,
    )
    checked.engine.dispose()


@cache
def _known_revision() -> str | None:
    """The revision of the tables that this Optuna works with."""
    return ScriptDirectory(Path(models.__file__).with_name("alembic")).get_current_head()


def within(storage: RDBStorage, connection: Connection) -> RDBStorage:
    """Optuna's storage inside a transaction; an error in it ends the transaction."""
    inside = RDBStorage.__new__(RDBStorage)
    inside.__dict__.update(storage.__dict__)
    inside.scoped_session = scoped_session(
        sessionmaker(bind=connection, join_transaction_mode="rollback_only")
    )
    return inside
