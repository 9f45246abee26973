"""The log of a worker, as text for people or as JSON for machines."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from types import TracebackType

from histsearch.cli.progress_line import ProgressLine, TerminalHandler, has_line, is_first_on
from histsearch.plain_text import one_line, visible
from histsearch.training.progress_display import NoDisplay, Phase, ProgressDisplay

log = logging.getLogger(__name__)

Aside = Callable[[], AbstractContextManager[None]]
"""Makes a block within which something else than a log is written."""


class LogFormat(StrEnum):
    """How a log is written."""

    text = "text"
    json = "json"


class LoggedPhases:
    """Names phases in the log as they begin."""

    def begin(self, phase: Phase) -> None:
        """Name a phase, unless the log says more of it at its end."""
        if phase.is_told:
            named = "  ".join(filter(None, (phase.label, phase.name)))
            log.info("%s", named, extra={"event": "phase"})

    def step(self) -> None:
        """Nothing: steps are too many for a log."""

    def end(self) -> None:
        """Nothing."""


def log_to_stderr(
    worker: str, log_format: LogFormat, *, shares_log: bool = False
) -> ProgressDisplay:
    """Show progress on standard error, each line with the worker's name.

    Args:
        worker: The name.
        log_format: How lines are written.
        shares_log: Whether other processes that work with this one write to the same log.

    Returns:
        What shows phases of the work: as a line at the bottom of a terminal that is this process's
        alone, else, and while it is in the terminal's background, in the log.
    """
    on_terminal = log_format == LogFormat.text and has_line(sys.stderr)
    terminal = TerminalHandler(sys.stderr) if on_terminal else None
    handler = terminal or logging.StreamHandler()
    handler.setFormatter(_formatter(worker, log_format))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("histsearch").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    if terminal is None or shares_log or not is_first_on(sys.stderr):
        return LoggedPhases()
    return ProgressLine(terminal, unseen=LoggedPhases())


@contextmanager
def shown_on_terminal() -> Iterator[tuple[ProgressDisplay, Aside]]:
    """Show phases on a terminal's last line within the block, and warnings above it.

    Yields:
        What shows them, and a block within which the line is away, for what else is written there.
    """
    if not has_line(sys.stderr) or not is_first_on(sys.stderr):
        yield NoDisplay(), nullcontext
        return
    handler = TerminalHandler(sys.stderr)
    handler.setFormatter(PlainFormatter())
    handler.setLevel(logging.WARNING)
    logging.root.addHandler(handler)
    logging.captureWarnings(capture=True)
    try:
        yield ProgressLine(handler), handler.aside
    finally:
        logging.captureWarnings(capture=False)
        logging.root.removeHandler(handler)
        handler.close()


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
