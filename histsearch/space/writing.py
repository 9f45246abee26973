"""A space as the TOML file that `histsearch.space.reading` reads it from."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from histsearch.space.space import Space

_OFF = ("gpu_hours", "decided")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def space_toml(space: Space) -> str:
    """A space as TOML, with every default written out, so that later ones don't change it."""
    table = space.model_dump(mode="json", exclude_none=True)
    table |= {key: False for key in _OFF if key not in table}
    return "\n".join(_lines(table)) + "\n"


def _lines(table: Mapping[str, Any]) -> Iterator[str]:
    """Values first, then tables, then lists of tables, as TOML wants them."""
    tables = {key: value for key, value in table.items() if isinstance(value, dict) and value}
    lists = {key: value for key, value in table.items() if _is_list_of_tables(value)}
    for key, value in table.items():
        if key not in tables and key not in lists and value not in ([], {}):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in tables.items():
        yield from ("", f"[{_key(key)}]", *_entries(value))
    for key, value in lists.items():
        for one in value:
            yield from ("", f"[[{_key(key)}]]", *_entries(one))


def _entries(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{_key(key)} = {_value(value)}" for key, value in table.items())


def _is_list_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(_entries(value)) + " }"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case str():
            # JSON escapes as TOML does, but for DEL, which TOML doesn't allow bare.
            return json.dumps(value).replace("\x7f", "\\u007f")
        case bool():
            return str(value).lower()
    return repr(value)  # a number: the shortest text that reads back as the same one
