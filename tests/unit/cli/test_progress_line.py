import io
import logging
import os
import pty
import re
import sys
import tomllib
import tty
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from histsearch.cli.logs import LogFormat, LoggedPhases, PlainFormatter, log_to_stderr
from histsearch.cli.progress_line import ProgressLine, TerminalHandler, has_line, is_first_on
from histsearch.training.progress_display import Phase
from tests.terminal import screen

SPACES = sorted(
    tomllib.loads(path.read_text())["name"]
    for path in (Path(__file__).parents[3] / "spaces").rglob("*.toml")
)
EPOCH = Phase("epoch 1/4", "birds #3", steps=40, images_per_step=32, epochs_after=3)


class Shown(TerminalHandler):
    """Keeps the lines that it is to show, on a terminal of some width."""

    def __init__(self, columns: int = 100, encoding: str = "utf-8") -> None:
        super().__init__(io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        self.lines: list[str] = []
        self.width = columns

    @property
    def columns(self) -> int:
        return self.width

    def show(self, line: str) -> None:
        self.lines.append(line)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def line_of(shown: Shown) -> tuple[ProgressLine, Clock]:
    clock = Clock()
    return ProgressLine(shown, clock), clock


def train(line: ProgressLine, clock: Clock, steps: int, seconds: float) -> None:
    for _ in range(steps):
        clock.now += seconds
        line.step()


def test_an_epoch_has_a_bar_a_rate_and_the_time_left() -> None:
    shown = Shown()
    line, clock = line_of(shown)
    line.begin(EPOCH)
    assert shown.lines == ["birds #3  epoch 1/4  ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌   0/40"]
    train(line, clock, 10, 0.5)
    assert shown.lines[-1] == (
        "birds #3  epoch 1/4  ━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  10/40  64 images/s  15 s left, trial 75 s"
    )


def test_the_first_step_which_starts_loaders_sets_no_measure() -> None:
    shown = Shown()
    line, clock = line_of(shown)
    line.begin(EPOCH)
    train(line, clock, 1, 30.0)
    assert "left" not in shown.lines[-1]
    train(line, clock, 4, 0.5)
    assert "64 images/s" in shown.lines[-1]


def test_later_epochs_are_expected_to_take_as_long_as_the_last_with_its_validation() -> None:
    shown = Shown()
    line, clock = line_of(shown)
    line.begin(EPOCH)
    train(line, clock, 40, 0.5)
    line.begin(Phase("validating epoch 1/4", "birds #3", steps=5))
    train(line, clock, 5, 2.0)
    line.begin(Phase("epoch 2/4", "birds #3", steps=40, images_per_step=32, epochs_after=2))
    train(line, clock, 20, 0.5)
    # 20 steps of half a second here, and two epochs of 20 s with 10 s of validation each.
    assert shown.lines[-1].endswith("10 s left, trial 70 s")


def test_an_epoch_gone_on_with_begins_where_it_was_left() -> None:
    shown = Shown()
    line, clock = line_of(shown)
    line.begin(Phase("epoch 3/4", "birds #3", steps=40, done=30, images_per_step=32))
    assert "30/40" in shown.lines[-1]
    train(line, clock, 5, 0.5)
    assert "35/40  64 images/s  2 s left" in shown.lines[-1]


def test_more_steps_than_were_expected_are_no_more_than_all() -> None:
    shown = Shown()
    line, clock = line_of(shown)
    line.begin(Phase("validating epoch 1/4", "birds #3", steps=2))
    train(line, clock, 5, 1.0)
    assert "2/2" in shown.lines[-1]


def test_the_line_is_drawn_a_few_times_a_second() -> None:
    shown = Shown()
    line, clock = line_of(shown)
    line.begin(EPOCH)
    train(line, clock, 1000, 0.01)
    assert 30 <= len(shown.lines) <= 41


def test_a_phase_without_steps_is_shown_at_once_and_epochs_of_moments_are_not() -> None:
    shown = Shown()
    line, clock = line_of(shown)
    line.begin(Phase("opening the database"))
    line.begin(Phase("building the network"))
    line.begin(EPOCH)
    assert [one.split("  ")[0] for one in shown.lines] == [
        *("opening the database", "building the network", "birds #3")
    ]
    for _ in range(100):
        clock.now += 0.01
        line.begin(EPOCH)
    assert len(shown.lines) <= 3 + 5


@pytest.mark.parametrize("study", [*SPACES, "rand"])
@pytest.mark.parametrize(
    "phase",
    [
        Phase("epoch 1/40", "{} #12", steps=250, images_per_step=32, epochs_after=39),
        Phase("warm-up epoch 1/1", "{}-retrain #12", steps=250, images_per_step=32),
        Phase("validating epoch 10/40", "{} #129", steps=47),
    ],
)
def test_80_columns_keep_a_bar_and_the_time_left_of_an_epoch(study: str, phase: Phase) -> None:
    shown = Shown(80)
    line, clock = line_of(shown)
    line.begin(replace(phase, label=phase.label.format(study)))
    train(line, clock, 20, 0.3)
    for drawn in shown.lines:
        assert cell_len(drawn) < 80
        assert re.search("[━╌]{5,20}  +", drawn), drawn
    assert re.search(r"\d s left|\d min left", shown.lines[-1])
    assert phase.label.split()[-1] in shown.lines[-1], "which trial it is"


def test_what_says_less_goes_first_one_after_the_other() -> None:
    label, phase, count = "birds #3", "epoch 1/4", "10/40"
    whole = "15 s left, trial 75 s"
    expected = {
        73: [label, phase, "━━╌╌╌╌╌╌", count, "64 images/s", whole],
        69: [label, phase, "━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌", count, whole],
        50: [label, phase, "━━╌╌╌╌╌╌╌╌", count, "15 s left"],
        40: [label, phase, count, "15 s left"],
        30: [label, phase, count],
        22: [label, phase],
    }
    for columns, parts in expected.items():
        shown = Shown(columns)
        line, clock = line_of(shown)
        line.begin(EPOCH)
        train(line, clock, 10, 0.5)
        assert shown.lines[-1].split("  ") == parts


@pytest.mark.parametrize("columns", [1, 10, 25, 40, 60, 80, 200])
@pytest.mark.parametrize("label", ["birds #3", "鳥の研究 #3"])
def test_a_narrow_terminal_gets_less(columns: int, label: str) -> None:
    shown = Shown(columns)
    line, clock = line_of(shown)
    line.begin(Phase("epoch 1/4", label, steps=40, images_per_step=32, epochs_after=3))
    train(line, clock, 10, 0.5)
    assert all(cell_len(one) < columns for one in shown.lines)
    assert columns < 40 or "epoch 1/4" in shown.lines[-1]


def test_a_terminal_without_line_drawing_gets_ascii() -> None:
    shown = Shown(encoding="ascii")
    line, clock = line_of(shown)
    line.begin(EPOCH)
    train(line, clock, 10, 0.5)
    assert "#####---------------" in shown.lines[-1]
    assert shown.lines[-1].isascii()


def test_a_name_moves_no_terminal() -> None:
    shown = Shown()
    line, _ = line_of(shown)
    line.begin(Phase("reading folder:\x1b[2Jbirds\n"))
    assert shown.lines == ["reading folder:\\x1b[2Jbirds\\n"]


def test_a_log_names_a_phase_unless_it_says_more_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "histsearch")
    phases = LoggedPhases()
    phases.begin(Phase("building the network", "birds #3", is_told=True))
    phases.begin(EPOCH)
    phases.step()
    assert caplog.messages == ["birds #3  building the network"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """Both ends of a terminal, which shows what it is sent."""
    leader, follower = pty.openpty()
    tty.setraw(follower)
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        yield leader, stream
    os.close(leader)


def received(leader: int, stream: io.TextIOWrapper) -> str:
    """All that has been written to a terminal since the last time."""
    os.write(stream.fileno(), b"\0")
    read = b""
    while not read.endswith(b"\0"):
        read += os.read(leader, 4096)
    return read[:-1].decode()


def test_records_stand_above_the_line(terminal: tuple[int, io.TextIOWrapper]) -> None:
    leader, stream = terminal
    handler = TerminalHandler(stream)
    handler.setFormatter(PlainFormatter("%(message)s"))
    record = logging.makeLogRecord({"msg": "epoch 1/4  R@1 50.00%"})
    handler.show("a line that is long")
    handler.handle(record)
    with handler.aside():
        os.write(stream.fileno(), b"printed\n")
    handler.show("short")
    shown = screen(received(leader, stream))
    assert shown.lines == ["epoch 1/4  R@1 50.00%", "printed", "short"]
    handler.close()
    handler.show("too late")
    assert screen("short" + received(leader, stream)).lines == [""]


class Counted(io.TextIOWrapper):
    """A terminal that keeps what each write sent it."""

    def __init__(self, terminal: io.TextIOWrapper) -> None:
        super().__init__(io.FileIO(terminal.fileno(), "w", closefd=False), encoding="utf-8")
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        return super().write(text)


def test_a_record_and_the_line_below_are_one_write_as_other_processes_write_there_too(
    terminal: tuple[int, io.TextIOWrapper],
) -> None:
    stream = Counted(terminal[1])
    handler = TerminalHandler(stream)
    handler.show("a line")
    handler.handle(logging.makeLogRecord({"msg": "a record"}))
    assert stream.written == ["\r\x1b[Ka line", "\r\x1b[Ka record\na line"]


def test_a_forked_process_draws_nothing(terminal: tuple[int, io.TextIOWrapper]) -> None:
    leader, stream = terminal
    handler = TerminalHandler(stream)
    child = os.fork()
    if child == 0:
        handler.show("of the child")
        os._exit(0)
    os.waitpid(child, 0)
    handler.show("of the parent")
    assert screen(received(leader, stream)).lines == ["of the parent"]


def test_one_process_draws_on_a_terminal(terminal: tuple[int, io.TextIOWrapper]) -> None:
    _, stream = terminal
    assert is_first_on(stream)
    child = os.fork()
    if child == 0:
        os._exit(1 if is_first_on(stream) else 0)
    _, status = os.waitpid(child, 0)
    assert status == 0, "another process draws there too"


def test_a_program_in_the_background_of_a_terminal_names_its_phases_in_the_log() -> None:
    shell, leader = pty.fork()
    if shell == 0:
        program = os.fork()
        if program == 0:
            os.setpgid(0, 0)  # as a shell does with what ends in &
            _work_on_a_terminal()
        os.waitpid(program, 0)
        os._exit(0)
    shown = b""
    with suppress(OSError):  # the last program on it has ended
        while part := os.read(leader, 4096):
            shown += part
    os.waitpid(shell, 0)
    os.close(leader)
    assert re.fullmatch(r"\S+ node0-cpu-7  birds #3  building the network\r\n", shown.decode())


def _work_on_a_terminal() -> None:
    """Tell of phases on the terminal that a forked process finds, and end it."""
    try:
        os.environ["TERM"] = "xterm"
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - to its end
        logging.root.handlers = []
        display = log_to_stderr("node0-cpu-7", LogFormat.text)
        display.begin(Phase("building the network", "birds #3", is_told=True))
        display.begin(EPOCH)
        display.step()
        display.end()
    finally:
        os._exit(0)


@pytest.mark.parametrize(
    ("kind", "expected"), [("xterm-256color", True), ("linux", True), ("dumb", False), ("", False)]
)
def test_a_terminal_that_moves_no_cursor_has_no_line(
    terminal: tuple[int, io.TextIOWrapper],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    expected: bool,
) -> None:
    monkeypatch.setenv("TERM", kind)
    assert has_line(terminal[1]) is expected
    assert not has_line(io.StringIO())


@pytest.mark.parametrize(
    ("kind", "log_format", "shares_log", "drawn"),
    [
        ("xterm", LogFormat.text, False, True),
        ("xterm", LogFormat.text, True, False),
        ("xterm", LogFormat.json, False, False),
        ("dumb", LogFormat.text, False, False),
    ],
)
def test_a_line_is_drawn_where_nothing_stands_against_it(
    terminal: tuple[int, io.TextIOWrapper],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    log_format: LogFormat,
    shares_log: bool,
    drawn: bool,
) -> None:
    leader, stream = terminal
    package = logging.getLogger("histsearch")
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(package, "level", package.level)
    try:
        display = log_to_stderr("node0-cpu-7", log_format, shares_log=shares_log)
        display.begin(Phase("starting", is_told=True))
    finally:
        logging.captureWarnings(capture=False)
    shown = screen(received(leader, stream)).lines[-1]
    assert shown == ("starting" if drawn else "")
