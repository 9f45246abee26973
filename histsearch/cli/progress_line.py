"""The line at the bottom of a terminal that says what a worker does, and how far it is."""

import fcntl
import logging
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from histsearch.plain_text import one_line
from histsearch.training.progress_display import NoDisplay, Phase, ProgressDisplay
from histsearch.wording import duration_text

_DRAW_SECONDS = 0.25
_FEWEST_BAR_CELLS, _MOST_BAR_CELLS = 5, 20
_FEWEST_NAME_CELLS = 8  # of a study, where its name is cut short
_GAP = 2  # cells between parts of the line
_ERASE = "\r\x1b[K"


class TerminalHandler(logging.StreamHandler[TextIO]):
    """Writes a log to a terminal, above a line that is rewritten in place.

    The line is drawn by whoever changes it: a thread of its own could write after the process's
    last words. A program in the background draws none, as the terminal is its user's then.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._line = ""
        self._owner = os.getpid()
        self._is_over = False
        self._before = ""

    @property
    def columns(self) -> int:
        """Width of the terminal."""
        with suppress(OSError):
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        return 80

    @property
    def is_in_background(self) -> bool:
        """Whether the terminal is another program's at the moment, as after ``&``."""
        with suppress(OSError, ValueError):
            return os.tcgetpgrp(self.stream.fileno()) != os.getpgrp()
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record above the line, all at once: others may draw on the terminal as well."""
        may_draw = self._may_draw()
        self._before = _ERASE if may_draw else ""
        self.terminator = f"\n{self._line}" if may_draw and self._is_its_own() else "\n"
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """A record, and before it what clears its place."""
        return self._before + super().format(record)

    def show(self, line: str) -> None:
        """Have this line at the bottom, or none."""
        with self._held():
            if line != self._line:
                self._line = line
                self._write(_ERASE + line)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the line away while something else is written within the block."""
        with self._held():
            self._write(_ERASE)
            try:
                yield
            finally:
                self._write(self._line)

    def close(self) -> None:
        """Take the line away for good."""
        self.show("")
        self._is_over = True
        super().close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _write(self, text: str) -> None:
        if not text or not self._is_its_own() or not self._may_draw():
            return
        with suppress(OSError, ValueError):  # the terminal was closed
            self.stream.write(text)
            self.stream.flush()

    def _is_its_own(self) -> bool:
        """Whether the line is this process's: a loader process has a copy of its parent's."""
        return not self._is_over and os.getpid() == self._owner

    def _may_draw(self) -> bool:
        """Whether the terminal is this program's, and takes more text now."""
        if self.is_in_background:
            return False
        with suppress(OSError, ValueError):
            _, writable, _ = select.select([], [self.stream], [], 0)  # not after Ctrl-S
            return bool(writable)
        return False


class ProgressLine:
    """Shows what is being done as one line of a terminal.

    Args:
        handler: Draws it.
        clock: The seconds that rates and times are worked out by.
        unseen: Is told as well of phases that begin while the program is in the background.
    """

    def __init__(
        self,
        handler: TerminalHandler,
        clock: Callable[[], float] = time.monotonic,
        unseen: ProgressDisplay | None = None,
    ) -> None:
        self._handler = handler
        self._clock = clock
        self._unseen = unseen or NoDisplay()
        self._shown: Phase | None = None
        self._drawn_at = -_DRAW_SECONDS
        self._timed = _TimedPhase(Phase(""), clock())
        self._epoch: _TimedPhase | None = None
        self._epoch_seconds: float | None = None

    def begin(self, phase: Phase) -> None:
        """Show a phase, in place of the one before."""
        if self._handler.is_in_background:
            self._unseen.begin(phase)
        now = self._clock()
        self._timed = _TimedPhase(phase, now)
        if phase.images_per_step:
            self._note_epoch()
        # Of phases that follow one another within moments not each is drawn.
        if phase.steps is None or self._shown is None or self._shown.steps is None:
            self._draw(now)
        else:
            self._draw_if_due(now)

    def step(self) -> None:
        """Note that a step of the phase is done."""
        now = self._clock()
        self._timed.step(now)
        self._draw_if_due(now)

    def end(self) -> None:
        """Take the line away."""
        self._shown = None
        self._handler.show("")

    def _note_epoch(self) -> None:
        """Take the time of an epoch from one's beginning to the next one's."""
        before, self._epoch = self._epoch, self._timed
        if before is None or before.phase.label != self._timed.phase.label:
            self._epoch_seconds = None
        elif _is_next(before.phase, self._timed.phase):
            self._epoch_seconds = self._timed.began - before.began

    def _draw_if_due(self, now: float) -> None:
        if now - self._drawn_at >= _DRAW_SECONDS:
            self._draw(now)

    def _draw(self, now: float) -> None:
        self._drawn_at, self._shown = now, self._timed.phase
        self._handler.show(self._text(now, self._handler.columns - 1))

    def _text(self, now: float, width: int) -> str:
        """The phase in at most ``width`` cells; what says less goes first, one after the other."""
        from rich.cells import cell_len, set_cell_size

        label, name = one_line(self._timed.phase.label), one_line(self._timed.phase.name)
        count, rate = self._timed.count_text, self._rate_text()
        left, whole = self._times_left(now)
        wanted = 0 if self._timed.share is None else _FEWEST_BAR_CELLS
        without_bar = width - cell_len(_joined(name, count, left)) - _GAP
        brief = self._brief(label, without_bar - _GAP - wanted)
        for fewest, parts in (
            (wanted, (label, name, count, rate, whole)),
            (wanted, (label, name, count, whole)),
            (wanted, (label, name, count, left)),
            (wanted, (brief, name, count, left)),
            (0, (label, name, count, left)),
            (0, (label, name, count)),
        ):
            spare = width - cell_len(_joined(*parts))
            cells = min(spare - _GAP, _MOST_BAR_CELLS) if fewest else 0
            if spare >= 0 and cells >= fewest:
                return _joined(*parts[:2], self._bar(cells), *parts[2:])
        head = _joined(label, name)
        return set_cell_size(head, max(width, 0)).rstrip() if cell_len(head) > width else head

    def _brief(self, label: str, cells: int) -> str:
        """A label whose study's name is cut short, unless too little of that would be left."""
        from rich.cells import cell_len, set_cell_size

        study, mark, number = label.rpartition(" #")
        cut = "…" if self._has_lines() else ".."
        room = cells - cell_len(cut + mark + number)
        if not mark or not _FEWEST_NAME_CELLS <= room < cell_len(study):
            return label
        return f"{set_cell_size(study, room).rstrip()}{cut}{mark}{number}"

    def _bar(self, cells: int) -> str:
        """A bar of so many cells; none where it isn't known how far the phase is."""
        share = self._timed.share
        if share is None:
            return ""
        done, left = ("━", "╌") if self._has_lines() else ("#", "-")
        full = round(share * cells)
        return done * full + left * (cells - full)

    def _has_lines(self) -> bool:
        try:
            "━╌".encode(self._handler.stream.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    def _rate_text(self) -> str:
        rate = self._timed.images_per_second
        return "" if rate is None else f"{rate:.0f} images/s"

    def _times_left(self, now: float) -> tuple[str, str]:
        """The time until the phase's end, and the same with that until the run's, where known."""
        seconds = self._timed.seconds_left(now)
        if seconds is None:
            return "", ""
        left = f"{duration_text(seconds)} left"
        after = self._timed.phase.epochs_after
        each = self._epoch_seconds or self._timed.whole_seconds
        if after is None or each is None:
            return left, left
        of = "trial" if self._timed.phase.label else "run"
        return left, f"{left}, {of} {duration_text(seconds + after * each)}"


def _joined(*parts: str) -> str:
    """Parts of the line, those that are there."""
    return (" " * _GAP).join(part for part in parts if part)


class _TimedPhase:
    """How fast the steps of a phase are done."""

    def __init__(self, phase: Phase, began: float) -> None:
        self.phase = phase
        self.began = began
        self._steps = 0
        self._first = self._last = began

    def step(self, now: float) -> None:
        """Note a step; the first one starts and loads what the others find there."""
        self._steps += 1
        self._last = now
        if self._steps == 1:
            self._first = now

    @property
    def _done(self) -> int:
        done = self.phase.done + self._steps
        return done if self.phase.steps is None else min(done, self.phase.steps)

    @property
    def _seconds_a_step(self) -> float | None:
        passed = self._last - self._first
        return passed / (self._steps - 1) if self._steps > 1 and passed > 0 else None

    @property
    def share(self) -> float | None:
        """The part of the phase that is done, in [0, 1]; None where that isn't known."""
        return self._done / self.phase.steps if self.phase.steps else None

    @property
    def count_text(self) -> str:
        """Steps done, of how many."""
        if self.phase.steps is None:
            return f"{self._done:,}" if self._done else ""
        of = f"{self.phase.steps:,}"
        return f"{self._done:>{len(of)},}/{of}"

    @property
    def images_per_second(self) -> float | None:
        """Images that are trained a second; None before two steps, and where none is."""
        each = self._seconds_a_step
        return self.phase.images_per_step / each if each and self.phase.images_per_step else None

    @property
    def whole_seconds(self) -> float | None:
        """Seconds of all its steps, where they train."""
        each = self._seconds_a_step
        if each is None or self.phase.steps is None or not self.phase.images_per_step:
            return None
        return each * self.phase.steps

    def seconds_left(self, now: float) -> float | None:
        """Seconds until its end; None where that isn't known."""
        each = self._seconds_a_step
        if each is None or self.phase.steps is None:
            return None
        return max(0.0, each * (self.phase.steps - self._done) - (now - self._last))


def _is_next(before: Phase, after: Phase) -> bool:
    """Whether an epoch follows another that was trained from its first step on."""
    if before.done or before.epochs_after is None or after.epochs_after is None:
        return False
    return before.epochs_after == after.epochs_after + 1


def has_line(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which a line can be rewritten."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


def is_first_on(terminal: TextIO) -> bool:
    """Whether no other process draws a line on a terminal; none can from now on.

    The lock ends with this process.
    """
    try:
        fcntl.lockf(terminal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # it takes no locks
        return True
    return True
