"""What a worker shows while it works: a line on a terminal, lines of a log elsewhere."""

import re
from collections.abc import Mapping
from pathlib import Path

from histsearch.workers import exit_codes
from tests.acceptance.processes import Run
from tests.terminal import ERASE, Screen, run_on_terminal, screen

LOGGED = re.compile(r"\d\d:\d\d:\d\d \S+  \S.*|")
PHASES = [
    *("starting", "opening the database", "reading ", "choosing the next trial of stripes"),
    *("stripes #0  building the network", "stripes #0  warm-up epoch 1/1"),
]


def places(phases: list[str], texts: list[str]) -> list[int]:
    """Where each phase is named first; fails where one isn't."""
    found = [[i for i, text in enumerate(texts) if phase in text][:1] for phase in phases]
    assert all(found), dict(zip(phases, found, strict=True))
    return [first for (first,) in found]


def worked(
    environment: Mapping[str, str], *options: str, columns: int = 100, **changes: str
) -> tuple[str, Screen]:
    ended = run_on_terminal(
        ["worker", "--device", "cpu", "--drain", *options],
        {**environment, "TERM": "xterm-256color", **changes},
        columns,
    )
    assert ended.code == 0, ended.output
    return ended.output, screen(ended.output, columns)


def test_a_terminal_shows_each_phase_on_one_line_below_the_log(
    run: Run, stripes_file: Path, environment: dict[str, str]
) -> None:
    slow = stripes_file.read_text().replace("epochs = 3", "epochs = 40")
    stripes_file.write_text(slow)
    run("study", "create", str(stripes_file), "--trials", "1")
    output, shown = worked(environment, NO_COLOR="1")
    order = places([*PHASES, "/40  ━"], shown.drawn)
    assert order == sorted(order)
    assert all(LOGGED.fullmatch(line) for line in shown.lines), shown.lines
    assert sum(" epoch " in line for line in shown.lines) == 40
    assert shown.lines[-1] == "", "the line is gone at the end"
    assert not shown.wrapped
    assert set(re.findall(r"\x1b\[[^A-Za-z]*[A-Za-z]", output)) == {ERASE}, "no colours"

    run("retrain", "stripes", "--seeds", "1")
    _, narrow = worked(environment, "--study", "stripes-retrain", columns=40)
    assert not narrow.wrapped
    assert any("testing on the test classes: " in line for line in narrow.lines)
    (outcome,) = (line for line in narrow.lines if "complete: R@1" in line)
    assert outcome.endswith("on the test classes")


def test_a_log_names_each_phase_once(run: Run, stripes_file: Path) -> None:
    run("study", "create", str(stripes_file), "--trials", "1")
    log = run("worker", "--device", "cpu", "--drain").stderr
    told = [phase for phase in PHASES if "choosing" not in phase]
    order = places(told, log.splitlines())
    assert order == sorted(order)
    assert all(log.count(f"{phase}\n") <= 1 for phase in told)
    assert "\x1b" not in log
    assert "\r" not in log
    assert "━" not in log


def test_workers_of_one_supervisor_garble_no_line(
    run: Run, stripes_file: Path, environment: dict[str, str]
) -> None:
    run("study", "create", str(stripes_file), "--trials", "4")
    _, shown = worked(environment, "--slots", "2")
    assert shown.drawn == []
    assert all(LOGGED.fullmatch(line) for line in shown.lines), shown.lines
    assert any("images/s on 2 slots" in line for line in shown.lines)


def test_a_single_training_shows_the_same_line(
    stripes_file: Path, environment: dict[str, str]
) -> None:
    ended = run_on_terminal(
        ["train", "--space", str(stripes_file), "--device", "cpu", "--epochs", "30"],
        {**environment, "TERM": "xterm"},
        columns=60,
    )
    assert ended.code == 0, ended.output
    shown = screen(ended.output, columns=60)
    order = places(["starting", "building the network", "/30  "], shown.drawn)
    assert order == sorted(order)
    epochs = [line for line in shown.lines if line.startswith("epoch ")]
    assert len(epochs) == 30
    assert all(re.fullmatch(r"epoch \d+/30  R@1 .* images/s", line) for line in epochs)
    assert shown.lines[-1] == ""
    assert not shown.wrapped


def test_ctrl_c_takes_the_line_away(
    run: Run, stripes_file: Path, environment: dict[str, str]
) -> None:
    endless = stripes_file.read_text().replace("epochs = 3", "epochs = 10000")
    stripes_file.write_text(endless)
    run("study", "create", str(stripes_file), "--trials", "1")
    environment["TERM"] = "xterm"
    stopped = run_on_terminal(["worker", "--device", "cpu"], environment, interrupt_at="/10000  ━")
    assert stopped.code == exit_codes.WORK_LEFT
    shown = screen(stopped.output)
    assert shown.lines[-1] == ""
    assert shown.lines[-2].endswith("  stopped")
