"""The log of a worker, as text for people or as JSON for machines."""

import logging
from enum import StrEnum


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


def _formatter(worker: str, log_format: LogFormat) -> logging.Formatter:
    if log_format == LogFormat.text:
        return logging.Formatter(f"%(asctime)s {worker}  %(message)s", datefmt="%H:%M:%S")
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        static_fields={"worker": worker},
        timestamp="time",
    )
