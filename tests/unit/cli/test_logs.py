import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from histsearch.cli.logs import LogFormat, log_to_stderr, show_warnings_plainly

FORGED = "class07\n12:00:00 node1-cpu-1  birds #3  complete: R@1 99.00%\x1b[2J"


@contextmanager
def standard_error() -> Iterator[io.StringIO]:
    """What is logged within the block, without pytest's own handlers."""
    written = io.StringIO()
    package = logging.getLogger("histsearch")
    level = package.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", written)
        patch.setattr(logging.root, "handlers", [])
        yield written
    package.setLevel(level)
    logging.captureWarnings(capture=False)


def _fail() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        logging.getLogger("histsearch.test").exception("left out the image %s", FORGED)


def test_a_record_is_one_line_above_its_traceback() -> None:
    with standard_error() as log:
        log_to_stderr("node0-cpu-7", LogFormat.text)
        _fail()
    line, *traceback = log.getvalue().splitlines()
    assert line.endswith(
        "node0-cpu-7  left out the image class07\\n12:00:00 node1-cpu-1  birds #3  complete: "
        "R@1 99.00%\\x1b[2J"
    )
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-1].endswith(r"99.00%\x1b[2J")
    assert "\x1b" not in log.getvalue()


def test_a_record_for_programs_keeps_the_text() -> None:
    with standard_error() as log:
        log_to_stderr("node0-cpu-7", LogFormat.json)
        _fail()
    assert "\x1b" not in log.getvalue()
    record = json.loads(log.getvalue())
    assert record["message"] == f"left out the image {FORGED}"


def test_a_warning_of_a_command_without_a_log_is_plain_text() -> None:
    with standard_error() as log:
        show_warnings_plainly()
        logging.getLogger("histsearch.test").warning("left out the image %s", FORGED)
    assert log.getvalue().count("\n") == 1
    assert "\x1b" not in log.getvalue()
