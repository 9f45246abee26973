"""The log of a worker, as text for people or as JSON for machines."""

import logging
from enum import StrEnum
from types import TracebackType

from histsearch.plain_text import one_line, visible


class LogFormat(StrEnum):
    """How a log is written."""

    text = "text"
    json = "json"


def log_to_stderr(worker: str, log_format: LogFormat) -> None:
    """Show progress on standard error, each line with the worker's name."""
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(worker, log_format))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("histsearch").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


class PlainFormatter(logging.Formatter):
    """Writes a record as one line, with its traceback below; nothing in it moves a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base's name
        """The line."""
        return one_line(super().formatMessage(record))

    def formatException(  # noqa: N802 - the base's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """The traceback."""
        return visible(super().formatException(ei))


def show_warnings_plainly() -> None:
    """Let what a command without a log of its own warns of be plain text as well."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PlainFormatter())


def _formatter(worker: str, log_format: LogFormat) -> logging.Formatter:
    if log_format == LogFormat.text:
        return PlainFormatter(f"%(asctime)s {worker}  %(message)s", datefmt="%H:%M:%S")
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        static_fields={"worker": worker},
        timestamp="time",
    )
