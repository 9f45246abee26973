"""The published results that a report puts beside its own."""

import json
from importlib.resources import files

SOURCE_KEY = "source"


def published_rows(dataset: str, backbone: str) -> dict[str, dict[str, float]]:
    """Rows of Table 3 (Yuan & Le-Phuoc 2023) for a data set and backbone, in percent.

    Returns:
        By row ("original authors", "reproduced", "tuned") the figure of each column, such as
        ``{"R@1": 90.2, "NMI": 75.8}``; empty where the paper has none.
    """
    rows: dict[str, dict[str, float]] = _table()["percent"].get(dataset, {}).get(backbone, {})
    return rows


def published_source() -> str:
    """Where `published_rows` come from."""
    return str(_table()[SOURCE_KEY])


def _table() -> dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]:
    text = (
        files("histsearch.reports").joinpath("published_results.json").read_text(encoding="utf-8")
    )
    return json.loads(text)  # type: ignore[no-any-return]
