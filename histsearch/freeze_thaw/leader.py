"""The leader, of the configurations that ran the one with the best expectations, and its rivals."""

# G = configurations

from collections.abc import Sequence
from dataclasses import dataclass

from histsearch.freeze_thaw.actions import Action
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.trials import TrialView

_LEADERS_PART = 0.5  # of all epochs, until it is complete


@dataclass(frozen=True)
class LeaderRule:
    """Which trial goes on for the leader's sake.

    Attributes:
        trials: All trials of the study.
        posterior: What they say.
        epochs: Of a full run.
        current: The trial that a worker has at hand.
        barred: Candidates that must not be trained.
    """

    trials: Sequence[TrialView]
    posterior: Posterior
    epochs: int
    current: int | None
    barred: Sequence[int]

    def leading(self) -> int | None:
        """The leader's furthest trial, if it should go on now."""
        leader = self._leader()
        if leader is None:
            return None
        trials = self.trials
        its = [number for number, trial in enumerate(trials) if trial.configuration == leader]
        if any(self._is_running_or_complete(trials[one]) for one in its):
            return None
        able = [one for one in its if trials[one].resumable or one == self.current]
        furthest = max(able, key=lambda one: len(trials[one].recalls), default=None)
        known = sum(len(trial.recalls) for trial in trials)
        if furthest is None or len(trials[furthest].recalls) >= _LEADERS_PART * known:
            return None
        return furthest

    def last_word(self) -> Action | None:
        """What to go on with when no new trial may start: the leader, else its likeliest rival."""
        able = [
            number
            for number, one in enumerate(self.trials)
            if (one.resumable or number == self.current)
            and len(one.recalls) < self.epochs
            and one.configuration not in self.barred
        ]
        leader = self._leader()
        if not able or leader is None:
            return None
        chance_G = self.posterior.chance_of_beating(leader)
        chance_G[leader] = not any(
            trial.configuration == leader and self._is_running_or_complete(trial)
            for trial in self.trials
        )

        def likeliest(number: int) -> tuple[float, int, int]:
            trial = self.trials[number]
            return float(chance_G[trial.configuration]), len(trial.recalls), -number

        best = max(able, key=likeliest)
        return Action(self.trials[best].configuration, best)

    def _leader(self) -> int | None:
        ran = {trial.configuration for trial in self.trials if trial.recalls}
        mean_G = self.posterior.mean_G
        allowed = sorted(ran.difference(self.barred))
        return max(allowed, key=lambda row: float(mean_G[row]), default=None)

    def _is_running_or_complete(self, trial: TrialView) -> bool:
        return trial.running or len(trial.recalls) == self.epochs
