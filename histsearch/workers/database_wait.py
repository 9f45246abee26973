"""Waiting for a database that isn't there yet."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from histsearch.exceptions import DatabaseAwayError
from histsearch.workers.stop_request import StopRequest

log = logging.getLogger(__name__)

_RETRY_SECONDS = 2.0

Result = TypeVar("Result")


def wait_for_database(
    attempt: Callable[[], Result], patience_seconds: float, stop: StopRequest
) -> Result | None:
    """Do what needs the database, as soon as it answers; None when stopped meanwhile.

    A worker that is started again while the database is away must not end over it.

    Raises:
        DatabaseAwayError: It didn't answer for all that time.
    """
    deadline = time.monotonic() + patience_seconds
    while not stop():
        try:
            return attempt()
        except DatabaseAwayError as error:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting for the database: %s", error)
            stop.wait(_RETRY_SECONDS)
    return None
