"""Numbers and lists in attributes, which anybody may have written: what is none counts as none.

Expressions of SQL are NULL then, and none fails.
"""

from typing import TypeGuard

# No sum or product of such numbers overflows double precision.
_DIGITS = 15
_NUMBER = f"[0-9]{{1,{_DIGITS}}}([.][0-9]{{1,200}})?(e-[0-9]{{1,2}})?"
_STRING = r'"([^"\\]|\\.)*"'


def is_number(value: object) -> TypeGuard[float]:
    """Whether an attribute's value is a number such as `number` reads."""
    return type(value) in (int, float) and 0 <= value < 10**_DIGITS  # type: ignore[operator]


def number(column: str) -> str:
    """The number in a column, from 0 to less than 1e15."""
    return _cast_if(f"{column} ~ '^{_NUMBER}$'", column, "double precision")


def number_texts(column: str) -> str:
    """The texts of a list's numbers, as an array that `number` reads; NULL where one is none."""
    is_list = rf"{column} ~ '^\[{_NUMBER}(, {_NUMBER})*\]$'"
    return f"CASE WHEN {is_list} THEN string_to_array(btrim({column}, '[]'), ', ') END"


def list_length(column: str) -> str:
    """The number of a list's elements."""
    # Python writes NaN and infinity into JSON, which PostgreSQL refuses.
    rest = f"regexp_replace({column}, '{_STRING}', '', 'g')"
    is_list = f"left({column}, 1) = '[' AND {rest} !~ '[NI]'"
    return f"json_array_length({_cast_if(is_list, column, 'json')})"


def _cast_if(condition: str, column: str, kind: str) -> str:
    # No other form keeps PostgreSQL from trying the cast first.
    return f"CASE WHEN {condition} THEN CAST({column} AS {kind}) END"
