"""Baselines: named configurations of a space that its winner is compared with."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from histsearch.space.checks import value_fault
from histsearch.space.configuration import MOST_EPOCHS, Value
from histsearch.space.known_parameters import KnownParameters
from histsearch.space.names import NAME_ALLOWED, NAME_PATTERN
from histsearch.space.refusals import RefusedError, joined, refused, show

FIRST = "first"
"""The name of the configuration that a search begins with; no [[baseline]] may have it."""

BASELINE_TABLES = "tables [[baseline]] of a name, parameters, and epochs where they are its own"

_NAME, _EPOCHS = "name", "epochs"
_MOST_BASELINES = 100


class Baseline(NamedTuple):
    """A named configuration that a winner is compared with.

    Attributes:
        name: Its name.
        values: What it sets over the fixed values of its space, searched parameters or others.
        epochs: For how many epochs it is trained; None for as many as the winner.
    """

    name: str
    values: Mapping[str, Value]
    epochs: int | None


def parse_baseline(table: Mapping[str, Any]) -> Baseline:
    """The baseline that a table without faults holds."""
    values = {key: value for key, value in table.items() if key not in (_NAME, _EPOCHS)}
    return Baseline(table[_NAME], values, table.get(_EPOCHS))


def check_list(entries: object) -> Sequence[object]:
    """The entries of a list of baselines.

    Raises:
        RefusedError: It is no list, or too long.
    """
    if not isinstance(entries, list | tuple):
        raise refused("baseline", show(entries), BASELINE_TABLES)
    if len(entries) > _MOST_BASELINES:
        raise refused("baseline", f"{len(entries):,} tables", f"up to {_MOST_BASELINES:,}")
    return entries


def baseline_faults(entries: Sequence[object], known: KnownParameters) -> list[RefusedError | None]:
    """For each table, what of it can't be used by itself; None for one without faults."""
    names: set[str] = set()
    found = []
    for number, table in enumerate(entries):
        faults = joined(_table_faults(f"baseline[{number}]", table, known, names))
        found.append(faults if faults.lines else None)
    return found


def _table_faults(
    key: str, table: object, known: KnownParameters, names: set[str]
) -> Iterator[RefusedError]:
    if not isinstance(table, Mapping):
        yield refused(key, show(table), BASELINE_TABLES)
        return
    yield from _name_faults(key, table, names)
    if _EPOCHS in table and not _is_length(table[_EPOCHS]):
        allowed = f"a whole number from 1 to {MOST_EPOCHS}"
        yield refused(f"{key}.{_EPOCHS}", show(table[_EPOCHS]), allowed)
    for name, value in table.items():
        fault = None if name in (_NAME, _EPOCHS) else value_fault(key, name, value, known)
        if fault is not None:
            yield fault


def _is_length(epochs: object) -> bool:
    if isinstance(epochs, bool) or not isinstance(epochs, int):
        return False
    return 1 <= epochs <= MOST_EPOCHS


def _name_faults(key: str, table: Mapping[str, Any], names: set[str]) -> Iterator[RefusedError]:
    name = table.get(_NAME)
    key = f"{key}.{_NAME}"
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        yield refused(key, show(name) if _NAME in table else "nothing", NAME_ALLOWED)
    elif name == FIRST:
        allowed = "another name, as this is the first configuration of the queue"
        yield refused(key, show(name), allowed)
    elif name in names:
        yield refused(key, show(name), "each name once")
    else:
        names.add(name)
