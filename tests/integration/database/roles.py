"""Roles that may do less than the one that made the tables."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy
from sqlalchemy.engine import URL

READ = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
WRITE = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
)


@contextmanager
def role(database: URL, *grants: str) -> Iterator[URL]:
    """A role for the time of the block, let into the database; ``{role}`` stands for its name."""
    name = f"guest_of_{database.database}"
    password = secrets.token_hex(8)
    execute(database, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'", *grants, role=name)
    try:
        yield database.set(username=name, password=password)
    finally:
        execute(database, "DROP OWNED BY {role}", "DROP ROLE {role}", role=name)


def execute(database: URL, *statements: str, role: str = "") -> None:
    """Execute statements as the owner of the database."""
    engine = sqlalchemy.create_engine(
        database, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.format(role=role))


def rows(database: URL) -> dict[str, list[object]]:
    """Everything in the database's tables, by table."""
    engine = sqlalchemy.create_engine(database, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        names = sqlalchemy.inspect(connection).get_table_names()
        return {
            name: list(connection.exec_driver_sql(f"SELECT * FROM {name}"))  # noqa: S608
            for name in names
        }
