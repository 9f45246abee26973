"""How a trial ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: its state, its value when complete, its reason when not.

    A trial that is paused is back in the queue (`TrialState.WAITING`). The objective is the label
    of the metric that its value is of, ``images`` what it was measured on, where that isn't the
    validation images, ``attributes`` what is stored with it.
    """

    state: TrialState
    value: float | None = None
    reason: str | None = None
    objective: str = ""
    images: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def paused(self) -> bool:
        """Whether the trial may go on later."""
        return self.state == TrialState.WAITING

    def __str__(self) -> str:
        if self.paused:
            return f"paused: {self.reason}"
        if self.value is not None:
            measured = f"{self.objective} {self.value:.2%}"
            return f"complete: {measured}{f' on the {self.images}' if self.images else ''}"
        return f"{self.state.name.lower()}: {self.reason}"
