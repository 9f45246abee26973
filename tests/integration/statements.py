"""What a process asks of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from histsearch.database.storage import Storage


@contextmanager
def statements_on(storage: Storage) -> Iterator[list[str]]:
    """The statements within the block, but for those that every transaction begins with."""
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        if "set_config" not in arguments[2]:
            asked.append(arguments[2])

    event.listen(storage.optuna.engine, "before_cursor_execute", note)
    yield asked
    event.remove(storage.optuna.engine, "before_cursor_execute", note)
