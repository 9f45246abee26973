"""What a run, and the worker around it, is doing, as it is told to whatever shows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Phase:
    """A part of the work, such as reading images, an epoch, or a validation.

    Attributes:
        name: What is done, such as "epoch 3/20".
        label: The trial it is done for; empty where it is for none.
        steps: How many steps it has at most; None where that isn't known.
        done: Steps that an earlier attempt had done of it.
        images_per_step: Images that a step trains; 0 where none does.
        epochs_after: Epochs of the run that follow; None where they are of another kind.
        is_told: Whether a log without a line of progress names it as it begins.
    """

    name: str
    label: str = ""
    steps: int | None = None
    done: int = 0
    images_per_step: int = 0
    epochs_after: int | None = None
    is_told: bool = False


class ProgressDisplay(Protocol):
    """Shows what is being done."""

    def begin(self, phase: Phase) -> None:
        """Show a phase, in place of the one before."""
        ...

    def step(self) -> None:
        """Note that a step of the phase is done."""
        ...

    def end(self) -> None:
        """Show nothing any more, until a phase begins."""
        ...


class NoDisplay:
    """Shows nothing."""

    def begin(self, phase: Phase) -> None:
        """Nothing."""

    def step(self) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


@contextmanager
def showing_nothing_after(display: ProgressDisplay) -> Iterator[None]:
    """Have nothing shown any more after the block, however it ends."""
    try:
        yield
    finally:
        display.end()
