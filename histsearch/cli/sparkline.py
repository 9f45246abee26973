"""Learning curves as a line of text."""

import math
import sys
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-~=+*#"


def sparkline(
    values: Sequence[float],
    width: int,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
) -> str:
    """A curve as characters of growing height, or ink where standard output can't show blocks.

    Args:
        values: The curve, such as the score after each epoch; what isn't finite leaves a gap.
        width: The most characters to take; a longer curve shows the last of the values that share
            a character.
        minimum: The value of the lowest character; the lowest of the curve when left out.
        maximum: The value of the highest one; the highest of the curve when left out.
    """
    shown = _thinned(values, width)
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return " " * len(shown)
    low = min(finite) if minimum is None else minimum
    high = max(finite) if maximum is None else maximum
    characters = _characters()
    return "".join(_character(value, low, high, characters) for value in shown)


def _thinned(values: Sequence[float], width: int) -> list[float]:
    """At most ``width`` of the values, evenly spaced, the last one among them."""
    count = min(len(values), max(0, width))
    return [values[(place + 1) * len(values) // count - 1] for place in range(count)]


def _character(value: float, low: float, high: float, characters: str) -> str:
    if not math.isfinite(value):
        return " "
    share = (value - low) / (high - low) if high > low else 0.5
    place = min(max(share, 0.0), 1.0) * (len(characters) - 1)
    return characters[round(place)]


def _characters() -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        _BLOCKS.encode(encoding)
    except UnicodeEncodeError:
        return _ASCII
    return _BLOCKS
