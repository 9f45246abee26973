"""Trials, as a search is shown them and as its model sees them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

Configuration = dict[str, Any]
"""A value for each searched parameter."""


class Trial(NamedTuple):
    """A trial as a search is shown it.

    Attributes:
        configuration: A value for each searched parameter.
        recalls: R@1 in percent after each epoch so far, from the first one on.
        seconds: Of each of these epochs, where they are known.
        running: Whether a worker trains it now; its next epoch is then expected.
        resumable: Whether it waits for going on.
        failed: Whether it failed or diverged.
        fold: The fold it validates on, from 0 on.
    """

    configuration: Configuration
    recalls: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    running: bool = False
    resumable: bool = False
    failed: bool = False
    fold: int = 0


class TrialView(NamedTuple):
    """A trial as the planner sees it.

    Attributes:
        configuration: Row among the candidates.
        recalls: R@1 in percent after each epoch so far.
        seconds: Of each of these epochs, where they are known.
        running: Whether a worker trains it now; its next epoch is then expected.
        resumable: Whether it waits for going on.
        fold: The fold it validates on, from 0 on.
    """

    configuration: int
    recalls: tuple[float, ...]
    seconds: tuple[float, ...] = ()
    running: bool = False
    resumable: bool = False
    fold: int = 0


class Curve(NamedTuple):
    """What is known of one trial.

    Attributes:
        configuration: Its row among the candidates.
        recalls: R@1 in percent after each epoch so far, from the first one on.
        fold: The fold it validates on, from 0 on.
    """

    configuration: int
    recalls: tuple[float, ...]
    fold: int = 0


class Pending(NamedTuple):
    """A trial that is being trained.

    Attributes:
        configuration: Its row among the candidates.
        before: Epochs it has run for.
        after: The epoch that it is trained to.
        fold: The fold it validates on, from 0 on.
    """

    configuration: int
    before: int
    after: int
    fold: int = 0


def curves_of(trials: Sequence[TrialView]) -> list[Curve]:
    """The curves of some trials."""
    return [Curve(trial.configuration, trial.recalls, trial.fold) for trial in trials]
