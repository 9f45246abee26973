"""What to train next: a new trial of any configuration, or a paused one for another epoch.

The leader, of the configurations that ran the one with the best expectations, is brought to its
end: until one of its trials is complete, the furthest has half of all epochs. Without that a model
that believes first epochs too much would never see a last one.

Beyond that, in question is what might beat the best configuration: each one that might, by its
expected improvement (Jones et al., 1998). Two rules choose what a free worker takes, in turns:

- The most promising: the configuration with the most expected improvement gets one more epoch. This
  keeps to what looks good, and so finds out soon whether it is; but by itself it may never leave a
  corner of a large space.
- The most telling: an action, some epochs of one trial, takes away a part of the doubt between
  the best configuration and each of those in question, not only its own, for neighbours tell of one
  another. Its rate is the sum of these parts, weighed by the expected improvements, per second.
  This looks all over the space, but believes what the model says of neighbours. An action looks
  to where the trial may be left next and 2, 4, ... times as far, so that a trial whose first epochs
  tell little is still seen for what its last ones would; but after each epoch it is asked anew.

Once no new trial may start, the leader is brought to its end, then whichever trial of the others is
likeliest to be of a better configuration, until hardly any could still change the winner.

A new trial runs for some epochs before it may be left, for the first ones often rank
configurations wrongly; after them a trial at hand goes on for as long as nothing else tells more. A
configuration is repeated, with another seed, when the luck of its seed is what is in doubt.
"""

# G = configurations, A = actions, D = parameters, K = earlier studies,
# B = parts of what a configuration adds to the shared curve

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histsearch.freeze_thaw.actions import Action, Schedule, all_options
from histsearch.freeze_thaw.arrays import Array, Integers
from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.expected_improvement import promise
from histsearch.freeze_thaw.fitting import fit_settings
from histsearch.freeze_thaw.information_gain import information
from histsearch.freeze_thaw.leader import LeaderRule
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.settings import Settings
from histsearch.freeze_thaw.threads import one_thread
from histsearch.freeze_thaw.trials import Curve, Pending, TrialView, curves_of
from histsearch.freeze_thaw.winner import choose_winner

_FEWEST_TO_FIT = 3  # epochs
_REFIT_GROWTH = 1.2  # the model's settings are fitted anew when the data have grown so much
_FIT_ITERATIONS = 12


@dataclass(frozen=True)
class Fit:
    """The model's settings, and how many epochs they were fitted to."""

    settings: Settings
    epochs: int


_Key = tuple[tuple[Curve, ...], tuple[Pending, ...]]


class Planner:
    """Decides for one study; it is shown all trials at every call.

    Args:
        places_GD: Where each candidate stands in each parameter.
        distances_D: Of each parameter, the distances between its places.
        epochs: Epochs of a full run.
        fit: An earlier fit to start from.
        earlier_KGB: What each earlier study expects of each candidate's curve.
        min_epochs: How long a trial runs at least before it is left; as in `Schedule.of`.
        folds: Folds that trials validate on.
    """

    def __init__(
        self,
        places_GD: Integers,
        distances_D: Sequence[Array],
        epochs: int,
        fit: Fit | None = None,
        earlier_KGB: Array | None = None,
        min_epochs: int | None = None,
        folds: int = 1,
    ) -> None:
        self.model = CurveModel(places_GD, distances_D, epochs, earlier_KGB, folds)
        self._schedule = Schedule.of(epochs, min_epochs)
        self._fitted_to = 0
        if fit is not None and len(fit.settings.values_S) == len(self.model.settings.values_S):
            self.model.settings, self._fitted_to = fit.settings, fit.epochs
        self._last: tuple[_Key, Posterior] | None = None

    @property
    def fit(self) -> Fit:
        """The present fit, to start from another time."""
        return Fit(self.model.settings, self._fitted_to)

    def first(self, possible: Sequence[int], rng: np.random.Generator) -> int:
        """The candidate to begin a study with: any, or the one that earlier studies favour."""
        expected = self.model.means_GB[list(possible), 0]
        favoured = np.flatnonzero(expected == expected.max())
        return int(possible[int(rng.choice(favoured))])

    def refit(self, trials: Sequence[TrialView]) -> None:
        """Fit the model's settings if the data have grown enough since the last time."""
        known = sum(len(trial.recalls) for trial in trials)
        if known >= max(_FEWEST_TO_FIT, _REFIT_GROWTH * self._fitted_to):
            self.fit_to(trials)

    def fit_to(self, trials: Sequence[TrialView]) -> None:
        """Fit the model's settings."""
        curves = curves_of(trials)
        with one_thread():
            fit_settings(self.model, curves, _FIT_ITERATIONS)
        self._fitted_to = sum(len(curve.recalls) for curve in curves)
        self._last = None

    def posterior(self, trials: Sequence[TrialView]) -> Posterior:
        """What the trials say of every candidate; the doubt is what running ones will leave."""
        pending = [
            Pending(
                *(one.configuration, len(one.recalls)),
                *(self._schedule.next_stop(len(one.recalls)), one.fold),
            )
            for one in trials
            if one.running
        ]
        key: _Key = (tuple(curves_of(trials)), tuple(pending))
        if self._last is None or self._last[0] != key:
            with one_thread():
                self._last = key, Posterior(self.model, key[0], pending)
        return self._last[1]

    def winner(
        self,
        trials: Sequence[TrialView],
        standing: int | None = None,
        ruled_out: Sequence[int] = (),
    ) -> int:
        """The candidate to recommend; as `choose_winner`."""
        # Which trials are running has no bearing on the means, and little on the choice.
        if self._last is not None and self._last[0][0] == tuple(curves_of(trials)):
            posterior = self._last[1]
        else:
            posterior = self.posterior(trials)
        return choose_winner(posterior, trials, standing, ruled_out)

    def next(
        self,
        trials: Sequence[TrialView],
        *,
        current: int | None = None,
        barred: Sequence[int] = (),
        may_start: bool = True,
    ) -> Action | None:
        """The best action, by the rule whose turn it is; None if there is nothing to do.

        Args:
            trials: All trials of the study.
            current: The one that a worker has at hand, which goes on without the cost of a switch,
                until it has run for the fewest epochs and unless the leader needs its epochs or
                another action tells more.
            barred: Candidates that must not be trained.
            may_start: Whether new trials are allowed.
        """
        if current is not None and len(trials[current].recalls) < self._schedule.min_epochs:
            return Action(trials[current].configuration, current)
        with one_thread():
            options = all_options(
                trials, self.model.kernel, self._schedule, current, may_start=may_start
            )
            allowed_A = ~np.isin(options.configurations_A, barred)
            if not allowed_A.any():
                return None
            posterior = self.posterior(trials)
            rule = LeaderRule(trials, posterior, self.model.epochs, current, barred)
            if not may_start:
                return rule.last_word()
            leader = rule.leading()
            if leader is not None:
                return Action(trials[leader].configuration, leader)
            value_A = np.zeros(len(allowed_A))
            if current is None and self._steps_begun(trials) % 2:
                left = self._left_for_good(trials)
                value_A = allowed_A * promise(posterior, options, barred, left)
            if not value_A.any():
                value_A = allowed_A * information(posterior, options, barred)
        best = int(value_A.argmax())
        trial = int(options.trials_A[best])
        return Action(int(options.configurations_A[best]), None if trial < 0 else trial)

    def _steps_begun(self, trials: Sequence[TrialView]) -> int:
        """Of all trials, the fewest epochs that each runs for and every single one after them."""
        epochs = (len(trial.recalls) + trial.running for trial in trials)
        return sum(max(1, 1 + begun - self._schedule.min_epochs) for begun in epochs)

    def _left_for_good(self, trials: Sequence[TrialView]) -> list[int]:
        """Configurations of trials that were ended early, as they are where none can be paused."""
        return [
            trial.configuration
            for trial in trials
            if not (trial.running or trial.resumable or len(trial.recalls) == self.model.epochs)
        ]
