"""How an attempt at a trial ends."""

from enum import StrEnum


class Ending(StrEnum):
    """How an attempt at a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "fail"
    PAUSED = "paused"
    GIVEN_BACK = "given back"
    LOST = "worker lost"
    LOST_EARLY = "worker lost before an epoch"
    CRASHED = "crashed"
    DEVICE_FAULT = "device fault"
    STALLED = "hung"
    LACK = "lack of resources"


RETRIED = (Ending.LOST, Ending.CRASHED, Ending.DEVICE_FAULT)
"""Endings that use up one of a trial's retries."""

FAILED = (*RETRIED, Ending.LOST_EARLY, Ending.STALLED, Ending.LACK)
"""Endings of an attempt that came to nothing; the last three may be the machine's fault."""
