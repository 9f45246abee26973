"""The revisions that a folder of Alembic's holds, without Alembic, which takes long to import."""

import re
from pathlib import Path
from typing import NamedTuple

_REVISION = re.compile(r'^revision = "(.+)"$', re.MULTILINE)
_BEFORE = re.compile(r'^down_revision = "(.+)"$', re.MULTILINE)


class Revisions(NamedTuple):
    """The revisions of some tables.

    Attributes:
        all: Their names.
        head: The last one.
    """

    all: frozenset[str]
    head: str


def read_revisions(versions: Path) -> Revisions:
    """Read the revisions in Alembic's folder ``versions``, which follow one another.

    Raises:
        ValueError: There isn't just one last revision.
    """
    texts = [path.read_text() for path in versions.glob("*.py")]
    names = frozenset(name for text in texts for name in _REVISION.findall(text))
    (head,) = names.difference(name for text in texts for name in _BEFORE.findall(text))
    return Revisions(names, head)
