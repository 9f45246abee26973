"""What is said of a space that can't be used: for each key what is found and what is allowed."""

from collections.abc import Iterable, Mapping

_LONGEST = 200
_DEEPEST = 3


class RefusedError(ValueError):
    """Keys that can't be used, one in each of its ``lines``."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def refused(key: str, found: str, allowed: str) -> RefusedError:
    """One key that can't be used."""
    return RefusedError(f"{key}: found {found}, allowed: {allowed}")


def refuse_all(faults: Iterable[RefusedError]) -> None:
    """Raise all faults as one, if there are any.

    Raises:
        RefusedError: There are.
    """
    several = joined(faults)
    if several.lines:
        raise several


def joined(faults: Iterable[RefusedError]) -> RefusedError:
    """All faults as one."""
    return RefusedError(*(line for fault in faults for line in fault.lines))


def show(value: object, longest: int = _LONGEST) -> str:
    """A value as TOML writes it, cut where it is longer than so many characters."""
    text = _written(value)
    if len(text) <= longest:
        return text
    return f"{text[:longest]}... ({len(text):,} characters)"


def _written(value: object, depth: int = 0) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int) and value.bit_length() > _LONGEST:
        return f"{value:#x}"  # Python refuses to write thousands of digits as a decimal number
    if isinstance(value, Mapping | list | tuple) and depth == _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        items = (f"{key} = {_written(item, depth + 1)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_written(item, depth + 1) for item in value) + "]"
    return str(value)
