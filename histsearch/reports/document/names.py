"""Names of a report's files, whatever its studies are called."""

import re
from collections.abc import Sequence

from histsearch.reports.document.reported import Reported


def file_name(kind: str, one: Reported, searches: Sequence[Reported]) -> str:
    """The name of a table or a figure that each search of a report has its own of.

    Args:
        kind: What it shows.
        one: The search.
        searches: All of the report.
    """
    if len(searches) == 1:
        return kind
    names = [_plain(other.name) for other in searches]
    name = names[searches.index(one)]
    number = f"-{searches.index(one)}" if names.count(name) > 1 else ""
    return f"{kind}-{name}{number}"


def _plain(name: str) -> str:
    """A study's name as part of a file's; one that came from outside may hold anything."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
