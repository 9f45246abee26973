"""An embedded PostgreSQL for a benchmark alone."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from sqlalchemy.engine import URL

from histsearch.database.embedded_postgres import server


@contextmanager
def own_server() -> Iterator[URL]:
    """Run one in a new histsearch folder, that of this process and of those that it starts."""
    with (
        tempfile.TemporaryDirectory(prefix="histsearch-", ignore_cleanup_errors=True) as home,
        patch.dict("os.environ", HISTSEARCH_HOME=home),
    ):
        Path(home).chmod(0o711)  # the server may run as another user
        try:
            yield server.start()
        finally:
            server.stop()
