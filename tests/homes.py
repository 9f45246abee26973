"""A histsearch folder for the time of a block."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_home() -> Iterator[Path]:
    """An empty folder that root's embedded PostgreSQL, which runs as another user, may pass."""
    with tempfile.TemporaryDirectory(prefix="histsearch-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o711)
        yield Path(home)
