"""What else a database holds where histsearch would make its tables."""

from optuna.storages._rdb.models import BaseModel
from sqlalchemy import text
from sqlalchemy.engine import Connection

from histsearch.database.faults import database_at
from histsearch.exceptions import StorageError

_OPTUNA_VERSION = "version_info"
_ALEMBIC_VERSION = "alembic_version"  # also of other applications that use Alembic
_ENCODINGS = ("UTF8", "SQL_ASCII")
_EXISTS = text("SELECT to_regclass(:name) IS NOT NULL")


def has_optuna_tables(connection: Connection) -> bool:
    """Whether an Optuna, of whatever version, has made its tables."""
    return _exists(connection, _OPTUNA_VERSION)


def check_foreign_tables(connection: Connection) -> None:
    """Make sure that tables can be made in a database that has none of histsearch's.

    Those of an Optuna may be there; histsearch uses them as well.

    Raises:
        StorageError: Another application's tables have the same names, or the database's encoding
            can't hold every text.
    """
    where = database_at(connection.engine.url)
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding not in _ENCODINGS:
        raise StorageError(
            f"found the encoding {encoding} of {where}, allowed: UTF8; create a database with "
            "ENCODING 'UTF8' TEMPLATE template0"
        )
    if has_optuna_tables(connection):
        return
    taken = [
        name
        for name in (*sorted(BaseModel.metadata.tables), _ALEMBIC_VERSION)
        if _exists(connection, name)
    ]
    if taken:
        raise StorageError(
            f"found another application's tables in {where}, with names that Optuna's have "
            f"({', '.join(taken)}); give histsearch a database of its own"
        )


def _exists(connection: Connection, name: str) -> bool:
    return bool(connection.scalar(_EXISTS, {"name": name}))
