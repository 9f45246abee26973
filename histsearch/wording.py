"""Numbers and names in sentences: counts with their noun, values, times, paths that are endless."""

from collections.abc import Iterable, Mapping, Sequence

_EXACT_DIGITS = 6
_SHOWN_DIGITS = 4
_LONGEST_SHOWN = 200
_MINUTE, _HOUR, _DAY = 60, 60 * 60, 24 * 60 * 60


def counted(number: int | str, noun: str) -> str:
    """A count with its noun: "1 epoch", "12 epochs", "5,864 images", "3 classes".

    Args:
        number: The count, or how it is written already, such as "0.5".
        noun: In the singular.
    """
    written = number if isinstance(number, str) else f"{number:,}"
    return f"{written} {noun if written == '1' else _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith(("s", "rch", "tch")):
        return noun + "es"
    if noun.endswith("y"):
        return noun.removesuffix("y") + "ies"
    return noun + "s"


def value_text(value: object) -> str:
    """A hyperparameter's value for people.

    A number of up to six significant digits, as people write one, stays exact, so that it can be
    given to a command again; of a longer one, which a sampler drew or which binary fractions left
    over, four digits are shown.
    """
    if not isinstance(value, float) or value == float(f"{value:.{_EXACT_DIGITS}g}"):
        return str(value)
    return str(float(f"{value:.{_SHOWN_DIGITS}g}"))


def list_text(values: Iterable[object]) -> str:
    """The values of a list on one line; exact where two would look the same."""
    exact = [str(value) for value in values]
    shown = [value_text(value) for value in values]
    return ", ".join(shown if len(set(shown)) == len(exact) else exact)


def names_text(names: Sequence[str]) -> str:
    """Names in a sentence: "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def configuration_text(configuration: Mapping[str, object]) -> str:
    """The values of a configuration on one line, with their names."""
    return ", ".join(f"{name} = {value_text(value)}" for name, value in configuration.items())


def shortened(text: object) -> str:
    """A path or a list of names for a message, cut where it is endless."""
    whole = str(text)
    return whole if len(whole) <= _LONGEST_SHOWN else f"{whole[:_LONGEST_SHOWN]}…"


def size_text(size: int) -> str:
    """A number of bytes for people: "6.6 GB", "12 MB"."""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            number = size / unit
            return f"{number:.1f} {name}" if number < 10 else f"{number:,.0f} {name}"
    return f"{size / 1000:.0f} kB"


def duration_text(seconds: float) -> str:
    """A time for people: "45 s", "12 min", "3 h 20 min", "2 d 5 h"."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if round(seconds / _MINUTE) < _HOUR // _MINUTE:
        return f"{seconds / _MINUTE:.0f} min"
    if round(seconds / _MINUTE) < 2 * _DAY // _MINUTE:
        return _in_two_units(round(seconds / _MINUTE), _HOUR // _MINUTE, "h", "min")
    return _in_two_units(round(seconds / _HOUR), _DAY // _HOUR, "d", "h")


def _in_two_units(number: int, in_larger: int, larger: str, smaller: str) -> str:
    whole, rest = divmod(number, in_larger)
    return f"{whole} {larger} {rest} {smaller}" if rest else f"{whole} {larger}"
