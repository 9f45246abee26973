"""The published results and configurations that a report puts beside its own."""

import json
from importlib.resources import files
from typing import Any

from histsearch.space.configuration import Value

_RESULTS, _CONFIGURATIONS = "published_results.json", "published_configurations.json"
_HOURS = "published_hours.json"

Rows = dict[str, dict[str, float]]
"""By row ("original authors", "reproduced", "tuned") the figure of each column, in percent."""


def published_rows(dataset: str, backbone: str) -> Rows:
    """Rows of Table 3 (Yuan & Le-Phuoc 2023) for a data set and backbone, in percent.

    Returns:
        By row the figure of each column, such as ``{"R@1": 90.2, "NMI": 75.8}``; empty where the
        paper has none.
    """
    return all_published_rows().get((dataset, backbone), {})


def all_published_rows() -> dict[tuple[str, str], Rows]:
    """Table 3 as a whole, as `published_rows`, by data set and backbone."""
    return _by_pair(_read(_RESULTS)["percent"])


def published_source() -> str:
    """Where `published_rows` come from, and their licence."""
    return str(_read(_RESULTS)["source"])


def published_configurations(dataset: str, backbone: str) -> dict[str, dict[str, Value]]:
    """The configurations of Table 2 (Yuan & Le-Phuoc 2023) for a data set and backbone.

    Returns:
        "original authors" and "tuned", the one that the paper searched, with their parameters;
        empty where the paper has none.
    """
    found: dict[tuple[str, str], dict[str, dict[str, Value]]]
    found = _by_pair(_read(_CONFIGURATIONS)["configurations"])
    return found.get((dataset, backbone), {})


def configurations_source() -> str:
    """Where `published_configurations` come from, and their licence."""
    return str(_read(_CONFIGURATIONS)["source"])


def published_hours(dataset: str, backbone: str) -> tuple[float, int] | None:
    """Hours of a run on a V100 and its epochs (Table 7); None where the paper has none."""
    found = _by_pair(_read(_HOURS)["hours_of_a_v100"]).get((dataset, backbone))
    return None if found is None else (found["hours"], found["epochs"])


def hours_source() -> str:
    """Where `published_hours` come from, and their licence."""
    return str(_read(_HOURS)["source"])


def _by_pair(table: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (dataset, backbone): found
        for dataset, by_backbone in table.items()
        for backbone, found in by_backbone.items()
    }


def _read(name: str) -> dict[str, Any]:
    text = files("histsearch.reports").joinpath(name).read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read
