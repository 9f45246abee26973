"""What may be changed through the dashboard: what can't harm a search.

The list names what is allowed, so that a way to change something that a later optuna-dashboard
adds is refused until someone has looked at it.
"""

import re

_READING = frozenset(("GET", "HEAD"))

# A note is an attribute of the study under the dashboard's own name, which nothing else reads.
_ALLOWED = (
    ("PUT", re.compile(r"/api/studies/[0-9]+/note")),
    ("PUT", re.compile(r"/api/studies/[0-9]+/[0-9]+/note")),
)

_REFUSED = (
    (
        "POST",
        re.compile(r"/api/studies/?"),
        "a study made here would have no search space; create one with: "
        "histsearch study create SPACE",
    ),
    (
        "DELETE",
        re.compile(r"/api/studies/[^/]+/?"),
        "deleting a study here would leave its saved states behind and part it from its "
        "retrainings; delete it with: histsearch study delete NAME",
    ),
    (
        "POST",
        re.compile(r"/api/studies/[^/]+/rename/?"),
        "renaming a study would part it from its workers and retrainings, and no command of "
        "histsearch does it; a study's name is chosen once, with: "
        "histsearch study create SPACE --name NAME",
    ),
    (
        "POST",
        re.compile(r"/api/trials/[^/]+/tell/?"),
        "a trial's result comes from the worker that trains it, and no command of histsearch "
        "sets one; to start no more trials: histsearch study pause NAME",
    ),
    (
        "POST",
        re.compile(r"/api/trials/[^/]+/user-attrs/?"),
        "a trial's attributes are what its workers go on from, and no command of histsearch "
        "changes them; write a note instead",
    ),
)

_ANYTHING_ELSE = (
    "nothing but notes is changed here; histsearch study --help lists the commands that change a "
    "study"
)
_READ_ONLY = "nothing is changed here, as the dashboard was started with --read-only"


def only_reads(method: str) -> bool:
    """Whether requests of that method change nothing."""
    return method in _READING


def why_refused(method: str, path: str, *, read_only: bool) -> str | None:
    """Why a request that would change something is refused, in a sentence; None if it isn't."""
    if read_only:
        return _READ_ONLY
    if _finds(_ALLOWED, method, path):
        return None
    for refused_method, pattern, reason in _REFUSED:
        if method == refused_method and pattern.fullmatch(path):
            return reason
    return _ANYTHING_ELSE


def _finds(routes: tuple[tuple[str, re.Pattern[str]], ...], method: str, path: str) -> bool:
    return any(method == one and pattern.fullmatch(path) for one, pattern in routes)
