"""What Yuan & Le-Phuoc (2023) print of the claims of HIST: verdicts, and figures in percent."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from histsearch.space.configuration import Value

_FILE = "published_claims.json"
_RECALL_AT_1 = "R@1"


def claims_source() -> str:
    """Where the verdicts and figures come from, and their licence."""
    return str(_read()["source"])


def published_verdict(number: int) -> str:
    """The paper's verdict on one of its claims, 1 to 5."""
    return str(_read()["verdicts"][str(number)])


def apart_from_paper(dataset: str, backbone: str, values: Mapping[str, Value]) -> str:
    """What sets runs apart from those of the paper's Figures 2 and 3 and Table 4.

    Args:
        dataset: Name of their data set.
        backbone: Name of their backbone.
        values: Those of their parameters that a figure doesn't vary.

    Returns:
        "other images", "other values", or nothing where they can be compared.
    """
    read = _read()
    if (dataset, backbone) != (read["dataset"], read["backbone"]):
        return "other images"
    tuned: dict[str, Value] = read["tuned"]["configuration"]
    differs = any(values[name] != value for name, value in tuned.items() if name in values)
    return "other values" if differs else ""


def published_score(point: Mapping[str, Value]) -> float | None:
    """R@1 that the paper prints for some values, in percent; None where it prints none.

    That of a distance is from Table 4, that of the configuration that the paper found from Table 3.

    Args:
        point: Values of the parameters that a figure varies.
    """
    read = _read()
    if list(point) == ["distance"]:
        row: dict[str, float] = read["distances"].get(point["distance"], {})
        return row.get(_RECALL_AT_1)
    tuned = read["tuned"]
    known = tuned["configuration"]
    is_tuned = all(name in known and known[name] == value for name, value in point.items())
    return float(tuned[_RECALL_AT_1]) if is_tuned else None


def published_difference(point: Mapping[str, Value], against: Mapping[str, Value]) -> float | None:
    """What the paper prints, in points of R@1, for some values less others; None for nothing.

    Of layers it says "about" 3 points less from 3 on; of distances it is the difference of the two
    rows of Table 4.
    """
    if list(point) == list(against) == ["hgnn_layers"]:
        layers = _read()["layers"]
        is_told = against["hgnn_layers"] == layers["against"]
        is_told = is_told and float(point["hgnn_layers"]) >= layers["from"]
        return float(layers[_RECALL_AT_1]) if is_told else None
    if list(point) != ["distance"]:
        return None
    ours, theirs = published_score(point), published_score(against)
    return None if ours is None or theirs is None else ours - theirs


@cache
def _read() -> dict[str, Any]:
    text = files("histsearch.reports").joinpath(_FILE).read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read
