"""A program under a real terminal, and the screen that it leaves."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Mapping
from typing import NamedTuple

ERASE = "\x1b[K"
_PIECES = re.compile(r"\x1b\[K|\r|\n|[^\r\n\x1b]+|\x1b")


class Screen(NamedTuple):
    """What a terminal shows after some output.

    Attributes:
        lines: Its lines from top to bottom; the last one is where the cursor is.
        drawn: Every text that stood on the last line before it was erased.
        wrapped: Whether a text that was erased later had run over the edge.
    """

    lines: list[str]
    drawn: list[str]
    wrapped: bool


class Ended(NamedTuple):
    """A program that has ended under a terminal."""

    code: int
    output: str


def run_on_terminal(
    arguments: list[str],
    environment: Mapping[str, str],
    columns: int = 100,
    interrupt_at: str | None = None,
    times: int = 1,
) -> Ended:
    """Run ``histsearch`` to its end, with a terminal as its input, output and errors.

    Args:
        arguments: The command.
        environment: Its environment.
        columns: Width of the terminal.
        interrupt_at: A text; once it was shown, Ctrl-C is pressed.
        times: How often it must have been shown.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            size = struct.pack("HHHH", 30, columns, 0, 0)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            command = [sys.executable, "-m", "histsearch", *arguments]
            os.execve(sys.executable, command, dict(environment))  # noqa: S606
        finally:
            os._exit(127)
    output = b""
    try:
        while part := os.read(terminal, 65536):
            output += part
            if interrupt_at is not None and output.count(interrupt_at.encode()) >= times:
                os.write(terminal, b"\x03")
                interrupt_at = None
    except OSError:  # the last program on it has ended
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return Ended(os.waitstatus_to_exitcode(status), output.decode())


def screen(output: str, columns: int = 100) -> Screen:
    """What a terminal shows; a line may be longer than it is wide unless it is erased."""
    lines, drawn, wrapped, column = [""], [], False, 0
    for piece in _PIECES.findall(output):
        if piece == "\n":
            lines.append("")
            column = 0
        elif piece == "\r":
            column = 0
        elif piece == ERASE:
            erased = lines[-1][column:]
            if erased:
                drawn.append(erased)
                wrapped = wrapped or len(lines[-1]) >= columns
            lines[-1] = lines[-1][:column]
        else:
            lines[-1] = lines[-1][:column] + piece + lines[-1][column + len(piece) :]
            column += len(piece)
    return Screen(lines, drawn, wrapped)
