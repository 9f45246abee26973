"""What PostgreSQL refuses, or fails in, as errors that a user can act on."""

import re

import psycopg2
from optuna.exceptions import StorageInternalError
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError

from histsearch.exceptions import DatabaseAwayError, StorageError

# SQLSTATE: connection exceptions, insufficient resources, operator intervention, system errors.
_PASSING_CLASSES = ("08", "53", "57", "58")
# A serialization failure, a deadlock, a lock that can't be had: trying again helps.
_WITHIN_A_CONNECTION = ("40001", "40P01", "55P03")
_READ_ONLY = "25006"
_NO_RIGHT = "42501"
_NOT_IN_ENCODING = "22P05"
_OTHER_TABLES = ("3F000", "42P01", "42703")  # no such schema, table, column
_EXPLAINED_CODES = (_READ_ONLY, _NO_RIGHT, _NOT_IN_ENCODING, *_OTHER_TABLES)
_FINAL_WORDS = (
    "authentication failed",
    "no password supplied",
    "no such database",
    "no such user",
    "unrecognized configuration parameter",
    "invalid sslmode",
    "SSL was required",
    "certificate verify failed",
    "pg_hba.conf",
    "does not exist",
    "not permitted to log in",
    "permission denied",
    "requirepeer specifies",
)
_WRITE_GRANT = "SELECT, INSERT, UPDATE, DELETE"


def place(url: URL) -> str:
    """Host and port of a storage, for messages."""
    host = url.host or url.query.get("host", "localhost")
    return f"{host}:{url.port or 5432}"


def database_at(url: URL) -> str:
    """Database, host and port of a storage, for messages."""
    return f"database {quoted(url.database)} at {place(url)}" if url.database else place(url)


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def explain_errors(engine: Engine) -> None:
    """Let what isn't the program's fault raise `StorageError`, whoever uses the engine.

    That is a connection that fails or breaks, a missing right, and a database that isn't as
    histsearch needs it.
    """

    def explain(context: ExceptionContext) -> None:
        error = context.original_exception
        code = getattr(error, "pgcode", None)
        lost = context.is_disconnect or context.connection is None
        passing = code is not None and _may_pass(error)
        if passing and not lost and code not in _WITHIN_A_CONNECTION:
            # After a failover the same address leads elsewhere.
            context.is_disconnect = True
        if lost or passing or code in _EXPLAINED_CODES:
            raise _explained(engine, error, context.statement)

    event.listen(engine, "handle_error", explain)


def unusable(engine: Engine, error: DBAPIError | StorageInternalError) -> StorageError:
    """The same for an error of another engine at the same place.

    Args:
        engine: One that has been connected, unless the error is that it can't be.
        error: What SQLAlchemy, or Optuna in its stead, raised.
    """
    failed = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(failed, DBAPIError) and failed.orig is not None:
        return _explained(engine, failed.orig, failed.statement)
    return _explained(engine, failed or error, None)


def refusal(url: URL, reason: str) -> StorageError:
    """A PostgreSQL that can't be used for a reason given in a sentence."""
    return StorageError(_unusable(url, reason))


def _unusable(url: URL, reason: str) -> str:
    return f"PostgreSQL at {place(url)} can't be used: {_without_password(url, reason)}"


def _explained(engine: Engine, error: BaseException, statement: str | None) -> StorageError:
    kind = DatabaseAwayError if _may_pass(error) else StorageError
    code = getattr(error, "pgcode", None)
    if not isinstance(error, psycopg2.Error) or code not in _EXPLAINED_CODES:
        return kind(_unconnected(engine.url, error))
    where = database_at(engine.url)
    reason = error.diag.message_primary or str(error)
    if code == _NO_RIGHT:
        return kind(_missing_right(engine, error, statement or "", reason))
    if code == _READ_ONLY and kind is DatabaseAwayError:
        return kind(f"PostgreSQL at {place(engine.url)} is a standby, which takes no writes")
    if code == _READ_ONLY:
        return kind(
            f"role {_role(error)} may only read in {where} ({reason}); use another role, or set "
            "its default_transaction_read_only to off"
        )
    if code == _NOT_IN_ENCODING:
        return kind(f"{where} can't hold a text ({reason}); use one whose encoding is UTF8")
    return kind(
        f"{where} doesn't hold the tables that histsearch made ({reason}); check the database's "
        "name, or restore it"
    )


def _unconnected(url: URL, error: BaseException) -> str:
    reason = " ".join(str(error).split())
    grant = ""
    if "permission denied for database" in reason:
        grant = f"; GRANT CONNECT ON DATABASE {quoted(url.database or '')} to the role"
    return _unusable(url, reason + grant)


def _missing_right(engine: Engine, error: psycopg2.Error, statement: str, reason: str) -> str:
    """What a role may not do, and what lets it."""
    role, where = _role(error), database_at(engine.url)
    schema = f"SCHEMA {quoted(engine.dialect.default_schema_name or 'public')}"
    verb = statement.split(maxsplit=1)[0].upper() if statement.strip() else ""
    if "row-level security" in reason:
        return (
            f"row-level security keeps rows of {where} from role {role} ({reason}); use a role "
            "that it doesn't apply to (BYPASSRLS)"
        )
    if verb in ("ALTER", "DROP") or statement.split()[:2] == ["CREATE", "TRIGGER"]:
        return (
            f"role {role} may not bring the tables in {where} up to date ({reason}); run "
            "histsearch db upgrade as the role that owns them"
        )
    if verb == "CREATE":
        return (
            f"role {role} may not create tables in {where} ({reason}); GRANT USAGE, CREATE ON "
            f"{schema} TO {role}, or create the first study as a role that may"
        )
    if verb == "SELECT" and "FOR UPDATE" not in statement:
        return (
            f"role {role} may not read histsearch's tables in {where} ({reason}); GRANT SELECT ON "
            f"ALL TABLES IN {schema} TO {role}"
        )
    return (
        f"role {role} may not write to {where} ({reason}); use another role, or GRANT "
        f"{_WRITE_GRANT} ON ALL TABLES IN {schema} TO {role} and GRANT USAGE ON ALL SEQUENCES IN "
        f"{schema} TO {role}"
    )


def _role(error: psycopg2.Error) -> str:
    cursor = error.cursor
    return quoted("" if cursor is None else cursor.connection.info.user)


def _without_password(url: URL, text: str) -> str:
    passwords = [url.password, *(url.query[name] for name in url.query if "pass" in name)]
    for password in passwords:
        if password:
            text = re.sub(rf"(?<!\w){re.escape(str(password))}(?!\w)", "***", text)
    return text


def _may_pass(error: BaseException) -> bool:
    """Whether what PostgreSQL, or a pooler before it, refuses now may go well later.

    psycopg2 gives the errors of a new connection no SQLSTATE, so their words must do.
    """
    if not isinstance(error, psycopg2.OperationalError | psycopg2.InternalError):
        return False
    code = error.pgcode
    if code == _READ_ONLY:
        return _may_be_standby(error)
    if code is not None:
        return code[:2] in _PASSING_CLASSES or code in _WITHIN_A_CONNECTION
    return not any(words in str(error) for words in _FINAL_WORDS)


def _may_be_standby(error: psycopg2.Error) -> bool:
    """Whether a server that takes no writes has become a standby, rather than the role a reader.

    Servers before PostgreSQL 14, and some poolers, don't tell.
    """
    cursor = error.cursor
    return cursor is None or cursor.connection.info.parameter_status("in_hot_standby") != "off"
