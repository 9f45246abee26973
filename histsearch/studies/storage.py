"""The PostgreSQL that holds every study, as an Optuna storage."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from histsearch.exceptions import StorageError
from histsearch.studies import embedded_postgres

STORAGE_VARIABLE = "HISTSEARCH_STORAGE"
DRIVER = "postgresql+psycopg2"

# Two-part advisory lock keys: this constant, then a study's id, or 0 for the schema.
_LOCK_FAMILY = 0x48495354
_SCHEMA_LOCK = 0
_CONNECT_SECONDS = 10


def storage_url(option: str | None = None) -> URL:
    """The storage named by ``--storage``, else by ``HISTSEARCH_STORAGE``, else the embedded one.

    Raises:
        StorageError: the URL isn't one of PostgreSQL, or the embedded server doesn't start.
    """
    text = option or os.environ.get(STORAGE_VARIABLE)
    return parse_storage_url(text) if text else embedded_postgres.start()


def parse_storage_url(text: str) -> URL:
    """Check a storage URL and complete it with its driver.

    Raises:
        StorageError: it can't be parsed or names another database than PostgreSQL.
    """
    form = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text may hold a password, so it is neither shown nor chained.
        raise StorageError(f"the storage isn't a URL; its form is {form}") from None
    if "@" in (url.host or ""):
        raise StorageError(f"found an @ in the user, password or host: write %40 for it; {form}")
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername=DRIVER)
    if url.drivername != DRIVER:
        raise StorageError(
            f'found storage dialect "{url.drivername}", allowed: {DRIVER}, because exact trial '
            f"budgets rest on PostgreSQL's locks; its form is {form}"
        )
    return url


def shown(url: URL) -> str:
    """A storage's URL for people's eyes: a password, wherever it stands, as ***."""
    hidden = {name: "***" for name in url.query if "pass" in name}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def place(url: URL) -> str:
    """Host and port of a storage, for messages."""
    host = url.host or url.query.get("host", "localhost")
    return f"{host}:{url.port or 5432}"


def _unusable(url: URL, error: BaseException) -> StorageError:
    """The one-line error for a PostgreSQL that refuses, or doesn't answer."""
    reason = " ".join(str(getattr(error, "orig", None) or error).split())
    passwords = [url.password, *(url.query[name] for name in url.query if "pass" in name)]
    for password in passwords:
        if password:
            reason = re.sub(rf"(?<!\w){re.escape(str(password))}(?!\w)", "***", reason)
    return StorageError(f"PostgreSQL at {place(url)} can't be used: {reason}")


def _explain_lost_connections(engine: Engine) -> None:
    """Let a connection that fails or breaks raise `StorageError`, whoever uses the engine."""

    def explain(context: ExceptionContext) -> None:
        lost = context.is_disconnect or context.connection is None
        if lost and not context.is_pre_ping:  # a failed ping leads to a new connection
            raise _unusable(engine.url, context.original_exception)

    event.listen(engine, "handle_error", explain)


class Storage:
    """One PostgreSQL with Optuna's tables.

    A process holds at most three connections: Optuna's, the one that holds a study's lock
    while a trial is claimed, and one spare while a broken connection is being replaced.

    Raises:
        StorageError: PostgreSQL can't be reached, or doesn't let its tables be used; also
            later, from any use of it, when the connection breaks.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        limits = {"connect_timeout": _CONNECT_SECONDS}
        text = url.render_as_string(hide_password=False)
        self._locks = sqlalchemy.create_engine(
            url, poolclass=sqlalchemy.NullPool, connect_args=limits
        )
        _explain_lost_connections(self._locks)
        try:
            # Processes that start together must not create the tables twice.
            with self.lock(_SCHEMA_LOCK):
                self.optuna = RDBStorage(
                    text,
                    engine_kwargs={
                        "pool_size": 2,
                        "max_overflow": 1,
                        "pool_pre_ping": True,
                        "connect_args": limits,
                    },
                )
                _explain_lost_connections(self.optuna.engine)
        except (DBAPIError, RuntimeError) as error:  # no rights; tables of another Optuna version
            raise _unusable(url, error) from None

    @contextmanager
    def lock(self, key: int) -> Iterator[None]:
        """Hold an advisory lock, such as a study's id, against every other process."""
        with self._locks.begin() as connection:
            connection.execute(
                sqlalchemy.text("SELECT pg_advisory_xact_lock(:family, :key)"),
                {"family": _LOCK_FAMILY, "key": key},
            )
            yield
