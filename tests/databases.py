"""Databases of their own on the tests' server."""

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy
from sqlalchemy.engine import URL


@contextmanager
def new_database(postgres: URL, tables: str | None) -> Iterator[URL]:
    """A new database, dropped afterwards.

    Args:
        postgres: The server.
        tables: Name of a database whose tables it gets; None for an empty one.
    """
    name = f"test_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        template = "template1" if tables is None else tables
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        if tables is not None:
            _draw_key(postgres.set(database=name))
        yield postgres.set(database=name)
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def _draw_key(database: URL) -> None:
    """Give a copied database a key of its own."""
    engine = sqlalchemy.create_engine(database)
    with engine.begin() as connection:
        update = sqlalchemy.text("UPDATE histsearch_database SET key = :key")
        connection.execute(update, {"key": secrets.token_hex(4)})
    engine.dispose()
