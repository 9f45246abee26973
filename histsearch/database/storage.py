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
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

import histsearch
from histsearch.database.connections import Waits, connect, connect_arguments
from histsearch.database.embedded_postgres import server
from histsearch.database.faults import database_at, explain_errors, place, refusal, unusable
from histsearch.database.foreign_tables import check_foreign_tables, has_optuna_tables
from histsearch.database.keeping_storage import KeepingStorage
from histsearch.database.kept_studies import KeptStudies
from histsearch.database.migration import Tables, migrate, own_tables
from histsearch.database.optuna_storage import OptunaStorage, check_optuna, open_optuna, singly
from histsearch.database.tables import database
from histsearch.exceptions import DatabaseAwayError, NoTablesError, StorageError

STORAGE_VARIABLE = "HISTSEARCH_STORAGE"
DRIVER = "postgresql+psycopg2"

# Two-part advisory lock keys: this constant, then a study's id, or 0 for the schema.
_LOCK_FAMILY = 0x48495354
_SCHEMA_LOCK = 0

LEAST_PAUSE_SECONDS = 15.0
"""A transaction may always pause for so long between two statements."""

LONGEST_PAUSE_SECONDS = 120.0
"""It may not for longer, also one within which trials are planned."""

_USUAL_PAUSE_SECONDS = 30.0
LOCK_SECONDS = 150.0
_FIRST_LOCK_RETRY_SECONDS = 0.05
_MOST_LOCK_RETRY_SECONDS = 1.0
_TRY_LOCK = sqlalchemy.text("SELECT pg_try_advisory_xact_lock(:family, :key)")
_TRY_LOCK_FOR_LONG = sqlalchemy.text(
    "SELECT pg_try_advisory_xact_lock(:family, :key) "
    "FROM set_config('idle_in_transaction_session_timeout', :milliseconds, true)"
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

    A process holds at most `connections.MOST_CONNECTIONS` connections, and one while it asks
    nothing. Nothing outlives a transaction, so a pooler such as PgBouncer may share them out by
    transaction.

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
        self._pause_seconds = LONGEST_PAUSE_SECONDS  # while its tables are made
        self._connect_arguments = connect_arguments(
            Waits(should_hurry, lambda: self._pause_seconds),
            # PostgreSQL itself sees to it that a reader changes nothing.
            reads=purpose == Purpose.READ,
        )
        engine = connect(url, self._connect_arguments)
        explain_errors(engine)
        try:
            self._see_to_tables(engine, purpose)
            self.optuna = self._open_optuna(engine)
            self.key = self._read_key()
        except (DBAPIError, StorageInternalError) as error:  # from within Optuna's constructor
            raise unusable(engine, error) from None
        except RuntimeError as error:  # tables of another Optuna version
            raise refusal(url, " ".join(str(error).split())) from None
        self._pause_seconds = _USUAL_PAUSE_SECONDS

    def _see_to_tables(self, engine: Engine, purpose: Purpose) -> None:
        """Make sure that the tables are this version's, without a lock where they are already.

        Processes that start together make them once: whoever waits looks again.
        """
        for _ in _attempts_at_lock(engine, self._should_hurry):
            with engine.begin() as connection:
                tables = own_tables(connection)
                _check_purpose(connection, tables, purpose)
                if tables == Tables.CURRENT:
                    return
                if _try_lock(connection, _SCHEMA_LOCK):
                    self._make_tables(connection)
                    return

    def _make_tables(self, connection: Connection) -> None:
        if own_tables(connection) == Tables.NONE:
            check_foreign_tables(connection)
        check_optuna(self.url, self._connect_arguments, has_tables=has_optuna_tables(connection))
        migrate(connection)

    def _open_optuna(self, engine: Engine) -> OptunaStorage:
        opened = open_optuna(engine)
        while opened is None:  # it finds the words for what is wrong
            check_optuna(self.url, self._connect_arguments, has_tables=True)
            opened = open_optuna(engine)
        return opened

    def _read_key(self) -> str:
        with self.singly() as connection:
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

    def singly(self) -> AbstractContextManager[Connection]:
        """A connection on which each statement is a transaction of its own, and one round trip."""
        return singly(self.optuna.engine)

    def limit_pauses(self, seconds: float) -> None:
        """Have PostgreSQL end this process's transactions that pause for longer.

        The limit is at least `LEAST_PAUSE_SECONDS` and at most `LONGEST_PAUSE_SECONDS`.
        """
        self._pause_seconds = min(max(seconds, LEAST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    def optuna_within(self, connection: Connection) -> OptunaStorage:
        """Optuna's storage inside a transaction of ours: what it writes is kept or lost with it."""
        return OptunaStorage(connection)

    @cached_property
    def _kept(self) -> KeptStudies:
        return KeptStudies()

    @cached_property
    def keeping(self) -> KeepingStorage:
        """Optuna's storage, which keeps what it has read."""
        return KeepingStorage(self.optuna, self._kept)

    @cached_property
    def keeping_for_verdicts(self) -> KeepingStorage:
        """The same for a worker that mustn't wait: while others claim, it notes nothing of a study.

        Whoever claims holds what it has noted of the study until it is done, and a worker that
        waited for that could show no sign of life.
        """
        return KeepingStorage(OptunaStorage(self.optuna.engine, self.is_free), self._kept)

    def is_free(self, key: int) -> sqlalchemy.ColumnElement[bool]:
        """In SQL, whether nobody holds a lock, which is then held to the transaction's end."""
        return sqlalchemy.func.pg_try_advisory_xact_lock(_LOCK_FAMILY, key)

    def keeping_within(self, connection: Connection) -> KeepingStorage:
        """The same inside a transaction of ours, whose own changes it shows as well."""
        return KeepingStorage(self.optuna_within(connection), self._kept, connection)

    @contextmanager
    def lock(self, *keys: int, pause_seconds: float | None = None) -> Iterator[Connection]:
        """Hold advisory locks, such as studies' ids, against every other process: all, or none.

        Gives the transaction that holds them.

        Args:
            keys: Whose locks.
            pause_seconds: How long that transaction may pause; as usual when left out.
        """
        for _ in _attempts_at_lock(self.optuna.engine, self._should_hurry):
            with self.begin() as connection:
                if all(_try_lock(connection, key, pause_seconds) for key in keys):
                    yield connection
                    return


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


def _attempts_at_lock(engine: Engine, should_hurry: Callable[[], bool]) -> Iterator[None]:
    """The moments to try for an advisory lock, ever rarer, until the wait is too long.

    Whoever waits for it holds no connection meanwhile that a pooler couldn't give to others, and
    the holder may need another to get on.

    Raises:
        DatabaseAwayError: The wait is too long.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    most = _FIRST_LOCK_RETRY_SECONDS
    while True:
        yield
        if time.monotonic() > deadline or should_hurry():
            break
        time.sleep(random.uniform(0, most))  # noqa: S311 - spreads those who wait
        most = min(2 * most, _MOST_LOCK_RETRY_SECONDS)
    raise DatabaseAwayError(
        f"a lock in PostgreSQL at {place(engine.url)} is held by another process, longer than this "
        "one may wait; look for one that hangs in pg_stat_activity"
    )


def _try_lock(connection: Connection, key: int, pause_seconds: float | None = None) -> bool:
    """Take an advisory lock for the rest of a transaction; False if another process has it."""
    names = {"family": _LOCK_FAMILY, "key": key}
    if pause_seconds is None:
        return bool(connection.scalar(_TRY_LOCK, names))
    milliseconds = f"{1000 * pause_seconds:.0f}"
    return bool(connection.scalar(_TRY_LOCK_FOR_LONG, {**names, "milliseconds": milliseconds}))
