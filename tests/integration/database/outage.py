"""A database that goes away for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import sqlalchemy
from sqlalchemy.engine import URL

from histsearch.database.embedded_postgres.account import database_folder


@contextmanager
def outage(database: URL) -> Iterator[None]:
    """For the time of the block the database's connections are cut and no new ones let in."""
    engine = sqlalchemy.create_engine(
        database.set(database="postgres"), isolation_level="AUTOCOMMIT"
    )
    name = database.database
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(
            sqlalchemy.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            ),
            {"name": name},
        )
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    engine.dispose()


@contextmanager
def silence() -> Iterator[None]:
    """For the time of the block the embedded server holds its connections and says nothing."""
    folder = str(database_folder())
    server = [
        process
        for process in psutil.process_iter(["cmdline"])
        if folder in (process.info["cmdline"] or [])
    ]
    family = [one for process in server for one in (process, *process.children())]
    assert family
    for one in family:
        one.suspend()
    try:
        yield
    finally:
        for one in family:
            one.resume()
