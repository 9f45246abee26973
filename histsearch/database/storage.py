"""The PostgreSQL that holds every study, as an Optuna storage."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from functools import cached_property

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import scoped_session, sessionmaker

import histsearch
from histsearch.database.connections import connect_arguments
from histsearch.database.embedded_postgres import server
from histsearch.database.faults import database_at, explain_errors, place, refusal, unusable
from histsearch.database.foreign_tables import check_foreign_tables, has_optuna_tables
from histsearch.database.keeping_storage import KeepingStorage
from histsearch.database.kept_studies import KeptStudies
from histsearch.database.migration import Tables, migrate, own_tables
from histsearch.database.tables import database
from histsearch.exceptions import DatabaseAwayError, NoTablesError, StorageError

STORAGE_VARIABLE = "HISTSEARCH_STORAGE"
DRIVER = "postgresql+psycopg2"

# Two-part advisory lock keys: this constant, then a study's id, or 0 for the schema.
_LOCK_FAMILY = 0x48495354
_SCHEMA_LOCK = 0

MOST_CONNECTIONS = 3
LEAST_PAUSE_SECONDS = 15.0
"""A transaction may always pause for so long between two statements."""

LONGEST_PAUSE_SECONDS = 120.0
"""It may not for longer, also one within which trials are planned."""

_USUAL_PAUSE_SECONDS = 30.0
LOCK_SECONDS = 150.0
_LOCK_RETRY_SECONDS = 0.1
_TRY_LOCK = sqlalchemy.text("SELECT pg_try_advisory_xact_lock(:family, :key)")
_ALLOW_PAUSES = sqlalchemy.text(
    "SELECT set_config('idle_in_transaction_session_timeout', :milliseconds, true)"
)


def storage_url(option: str | None = None) -> URL:
    """The storage named by ``--storage``, else by ``HISTSEARCH_STORAGE``, else the embedded one.

    Raises:
        StorageError: The URL isn't one of PostgreSQL, or the embedded server doesn't start.
    """
    text = named_storage(option)
    return parse_storage_url(text) if text else server.start()


def named_storage(option: str | None = None) -> str | None:
    """The URL in ``--storage``, else in ``HISTSEARCH_STORAGE``; None for the embedded one."""
    return option or os.environ.get(STORAGE_VARIABLE)


def parse_storage_url(text: str) -> URL:
    """Check a storage URL and complete it with its driver.

    Raises:
        StorageError: It can't be parsed or names another database than PostgreSQL.
    """
    # The text may hold a password, so no part of it that wasn't understood is shown or chained.
    form = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        if _is_cut_apart(text):
            raise _misread(form) from None
        raise StorageError(f"the storage isn't a URL; its form is {form}") from None
    if _is_cut_apart(text) or "@" in (url.database or ""):
        raise _misread(form)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername=DRIVER)
    if url.drivername != DRIVER:
        raise StorageError(
            f'found storage dialect "{url.drivername}", allowed: {DRIVER}, because exact trial '
            f"budgets rest on PostgreSQL's locks; its form is {form}"
        )
    return url


def _is_cut_apart(text: str) -> bool:
    """Whether a URL has an @ beyond that of the host, and before the value of an option."""
    return "@" in text.partition("@")[2].partition("=")[0]


def _misread(form: str) -> StorageError:
    return StorageError(
        "found more than one @ in the storage's URL; in a user, password or database write %40 for "
        f"an @ and %2F for a /; the form is {form}"
    )


def shown(url: URL) -> str:
    """A storage's URL for people's eyes: a password, wherever it stands, as ***."""
    hidden = {name: "***" for name in url.query if "pass" in name}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def _never() -> bool:
    return False


class Purpose(Enum):
    """What a database is opened for."""

    READ = "to read, so that nothing in it changes"
    CHANGE = "to change what is there; an older version's tables are brought up to date"
    CREATE = "the same, and to make the tables where there are none"


class Storage:
    """One PostgreSQL with Optuna's tables and histsearch's own.

    A process holds at most `MOST_CONNECTIONS` connections: one that holds a lock while a trial is
    claimed, the one through which Optuna works meanwhile, and one for the heartbeat. Nothing
    outlives a transaction, so a pooler such as PgBouncer may share them out by transaction.

    PostgreSQL ends a transaction that pauses between two statements for 30 seconds, unless
    `limit_pauses` says otherwise: its process is suspended, and others wait for its locks.

    Attributes:
        key: Tells the database from every other, a copy of it excepted.

    Args:
        url: Where it is.
        purpose: What may be done to it.
        should_hurry: Asked while PostgreSQL is waited for; from when it is true, a wait may take
            little longer.

    Raises:
        StorageError: PostgreSQL doesn't let its tables be used, or they are those of a newer
            histsearch, or of an older one and only to be read; also later, from any use of it,
            when a right is missing.
        NoTablesError: There are none, and none are to be made.
        DatabaseAwayError: It can't be reached; also later, from any use of it, when the
            connection breaks.
    """

    def __init__(
        self,
        url: URL,
        purpose: Purpose = Purpose.CREATE,
        should_hurry: Callable[[], bool] = _never,
    ) -> None:
        self.url = url
        self._should_hurry = should_hurry
        self._connect_arguments = connect_arguments(should_hurry)
        self._pause_seconds = _USUAL_PAUSE_SECONDS
        opening = sqlalchemy.create_engine(
            url, poolclass=sqlalchemy.NullPool, connect_args=self._connect_arguments
        )
        explain_errors(opening)
        _end_when_suspended(opening, lambda: LONGEST_PAUSE_SECONDS)
        try:
            with opening.begin() as connection:
                tables = own_tables(connection)
                _check_purpose(connection, tables, purpose)
            if tables == Tables.CURRENT:
                self.optuna = self._optuna(purpose, has_tables=True)
            else:
                self._make_tables(opening, purpose)
            self.key = self._read_key()
        except (DBAPIError, StorageInternalError) as error:  # from within Optuna's constructor
            raise unusable(opening, error) from None
        except RuntimeError as error:  # tables of another Optuna version
            raise refusal(url, " ".join(str(error).split())) from None

    def _make_tables(self, opening: Engine, purpose: Purpose) -> None:
        # Processes that start together must not create the tables twice.
        with _lock(opening, _SCHEMA_LOCK, self._should_hurry) as connection:
            if own_tables(connection) == Tables.NONE:
                check_foreign_tables(connection)
            self.optuna = self._optuna(purpose, has_tables=has_optuna_tables(connection))
            migrate(connection)

    def _optuna(self, purpose: Purpose, *, has_tables: bool) -> RDBStorage:
        # PostgreSQL itself then sees to it that a reader changes nothing.
        options = {"postgresql_readonly": True} if purpose == Purpose.READ else {}
        optuna = RDBStorage(
            self.url.render_as_string(hide_password=False),
            engine_kwargs={
                "pool_size": MOST_CONNECTIONS,
                "max_overflow": 0,
                "pool_pre_ping": True,
                "connect_args": self._connect_arguments,
                "execution_options": options,
            },
            # It would add what a later Optuna has to tables of an earlier one.
            skip_table_creation=has_tables,
        )
        explain_errors(optuna.engine)
        _end_when_suspended(optuna.engine, lambda: self._pause_seconds)
        return optuna

    def _read_key(self) -> str:
        with self.begin() as connection:
            key = connection.scalar(sqlalchemy.select(database.c.key))
        if key is None:
            raise StorageError(
                f"the rows of histsearch's tables in {database_at(self.url)} are gone, or "
                "row-level security hides them; use a role that it doesn't apply to (BYPASSRLS)"
            )
        return str(key)

    def check_completeness(self) -> None:
        """Make sure that what can be read is all there is, and as it is now.

        Raises:
            StorageError: It may lag behind, or be a part.
        """
        query = sqlalchemy.text(
            "SELECT pg_is_in_recovery(), row_security_active('studies') "
            "OR row_security_active('trials') OR row_security_active('study_user_attributes')"
        )
        with self.begin() as connection:
            is_standby, is_filtered = connection.execute(query).one()
        if is_standby:
            raise StorageError(
                f"PostgreSQL at {place(self.url)} is a standby, which may lag behind; name its "
                "primary"
            )
        if is_filtered:
            raise StorageError(
                f"row-level security may hide studies in {database_at(self.url)}; use a role that "
                "it doesn't apply to (BYPASSRLS)"
            )

    def begin(self) -> AbstractContextManager[Connection]:
        """A transaction on histsearch's own tables, committed when the block ends well."""
        return self.optuna.engine.begin()

    def limit_pauses(self, seconds: float) -> None:
        """Have PostgreSQL end this process's transactions that pause for longer.

        The limit is at least `LEAST_PAUSE_SECONDS` and at most `LONGEST_PAUSE_SECONDS`.
        """
        self._pause_seconds = min(max(seconds, LEAST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    def optuna_within(self, connection: Connection) -> RDBStorage:
        """Optuna's storage inside a transaction of ours: what it writes is kept or lost with it."""
        within = RDBStorage.__new__(RDBStorage)
        within.__dict__.update(self.optuna.__dict__)
        within.scoped_session = scoped_session(
            sessionmaker(bind=connection, join_transaction_mode="create_savepoint")
        )
        return within

    @cached_property
    def _kept(self) -> KeptStudies:
        return KeptStudies()

    @cached_property
    def keeping(self) -> KeepingStorage:
        """Optuna's storage, which keeps what it has read."""
        return KeepingStorage(self.optuna, self._kept)

    def keeping_within(self, connection: Connection) -> KeepingStorage:
        """The same inside a transaction of ours, whose own changes it shows as well."""
        return KeepingStorage(self.optuna_within(connection), self._kept, connection)

    @contextmanager
    def lock(self, key: int, *, pause_seconds: float | None = None) -> Iterator[Connection]:
        """Hold an advisory lock, such as a study's id, against every other process.

        Gives the transaction that holds it.

        Args:
            key: Whose lock.
            pause_seconds: How long that transaction may pause; as usual when left out.
        """
        with _lock(self.optuna.engine, key, self._should_hurry) as connection:
            if pause_seconds is not None:
                _allow_pauses(connection, pause_seconds)
            yield connection


def _check_purpose(connection: Connection, tables: Tables, purpose: Purpose) -> None:
    where = database_at(connection.engine.url)
    if connection.dialect.default_schema_name is None:
        raise StorageError(
            f"the role may use no schema of {where}; GRANT USAGE ON SCHEMA public to it, or set "
            "its search_path"
        )
    if tables == Tables.NONE and purpose != Purpose.CREATE:
        raise NoTablesError(
            f"found no histsearch tables in {where}; check the database's name, or make them with "
            "histsearch study create"
        )
    if tables == Tables.OLDER and purpose == Purpose.READ:
        raise StorageError(
            f"found tables of a histsearch older than {histsearch.__version__} in {where}; once "
            "its workers have ended, bring them up to date with histsearch db upgrade"
        )


def _end_when_suspended(engine: Engine, pause_seconds: Callable[[], float]) -> None:
    """Let PostgreSQL end a transaction whose process is suspended, whoever uses the engine.

    Each transaction says so for itself, as a pooler may give each another session.
    """
    event.listen(engine, "begin", lambda connection: _allow_pauses(connection, pause_seconds()))


def _allow_pauses(connection: Connection, seconds: float) -> None:
    connection.execute(_ALLOW_PAUSES, {"milliseconds": f"{1000 * seconds:.0f}"})


@contextmanager
def _lock(engine: Engine, key: int, should_hurry: Callable[[], bool]) -> Iterator[Connection]:
    """Hold an advisory lock within a transaction.

    Whoever waits for it holds no connection meanwhile: the waiting ones could have all those of a
    pooler, and the holder needs another to get on.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        with engine.begin() as connection:
            if connection.scalar(_TRY_LOCK, {"family": _LOCK_FAMILY, "key": key}):
                yield connection
                return
        if time.monotonic() > deadline or should_hurry():
            break
        time.sleep(random.uniform(0, _LOCK_RETRY_SECONDS))  # noqa: S311 - spreads those who wait
    raise DatabaseAwayError(
        f"a lock in PostgreSQL at {place(engine.url)} is held by another process, longer than this "
        "one may wait; look for one that hangs in pg_stat_activity"
    )
