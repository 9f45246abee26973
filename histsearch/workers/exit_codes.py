"""Exit codes of a worker process, for its supervisor, a scheduler or a script.

0 is a good end, 1 Python's own for an error in the program. The others are those of sysexits.h
where it has one that fits.
"""

import os

USER_ERROR = 2
"""Something that a user can mend is in the way: a message says what."""

DEVICE_FAULT = os.EX_UNAVAILABLE  # 69
"""The GPU can't be used by this process any more; a new process may be able to."""

LACK = os.EX_OSERR  # 71
"""This machine is short of something that trials need, and nothing else is left to serve."""

STALLED = os.EX_IOERR  # 74
"""The work hung; the trial went back to the queue, and a new process may go on."""

WORK_LEFT = os.EX_TEMPFAIL  # 75
"""A stop signal came before the work was done; a worker started later goes on with it."""

FINAL = (USER_ERROR, LACK)
"""After these a supervisor starts no new process, as that would end the same way."""


def in_words(code: int) -> str:
    """What an exit code from 1 on says, in a few words."""
    words = {
        LACK: "short of something that trials need",
        STALLED: "its work hung",
        DEVICE_FAULT: "device error",
        WORK_LEFT: "stopped with work left",
    }
    return words.get(code, f"exit code {code}")
