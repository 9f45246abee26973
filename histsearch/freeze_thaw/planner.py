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
likeliest to be of a better configuration, until hardly any could still change the answer.

A new trial runs for some epochs before it may be left, for the first ones often rank
configurations wrongly; after them a trial at hand goes on for as long as nothing else tells more. A
configuration is repeated, with another seed, when the luck of its seed is what is in doubt.
"""

# G = configurations, A = actions, D = hyperparameters, R = configurations in question,
# B = parts of what a configuration adds to the shared curve

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import RLock
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr
from threadpoolctl import ThreadpoolController

from histsearch.freeze_thaw.arrays import Array, Flags, Integers
from histsearch.freeze_thaw.curve_model import PARTS, CurveModel, Posterior, Settings
from histsearch.freeze_thaw.trials import Curve, Pending, TrialView

_FEWEST_TO_FIT = 3  # epochs
_REFIT_GROWTH = 1.2  # the model's settings are fitted anew when the data have grown so much
_FIT_ITERATIONS = 12
_SWITCH_EPOCHS = 0.2  # what it costs to leave a trial for another
_IN_QUESTION = 128  # configurations, those with the most expected improvement
_LEADERS_PART = 0.5  # of all epochs, until it is complete
_PROBABLY = 0.7  # how likely another must be better to become the answer
_FEWEST_TO_DECIDE = 3  # configurations that have run
_FEWEST_COMPLETE = 4  # configurations, before begun trials are given up
_DRAWS = 48  # of the model's settings, to be sure that a study is decided
_NEAR = 0.125  # of a hyperparameter's whole range: values that speak for one another
_SLIGHTLY = 1e-6
_SPAN = 1_000_000


class Action(NamedTuple):
    """Train a configuration: a new trial of it (``trial`` None), or one that goes on."""

    configuration: int
    trial: int | None


@dataclass(frozen=True)
class Answer:
    """The configuration that the data favour.

    Attributes:
        configuration: Row among the candidates.
        mean: Its expected R@1 at the last epoch, in percent.
    """

    configuration: int
    mean: float


@dataclass(frozen=True)
class Fit:
    """The model's settings, and how many epochs they were fitted to."""

    settings: Settings
    epochs: int


_Key = tuple[tuple[Curve, ...], tuple[Pending, ...]]


class Planner:
    """Decides for one study; it is shown all trials at every call.

    Args:
        places_GD: Where each candidate stands in each hyperparameter.
        distances_D: Of each hyperparameter, the distances between its places.
        epochs: Epochs of a full run.
        fit: An earlier fit to start from.
        earlier_KGB: What each earlier study expects of each candidate's curve.
        min_epochs: How long a trial runs at least before it is left. When left out, the square root
            of ``epochs``: half of a run, as the logarithm of its epochs goes.
    """

    def __init__(
        self,
        places_GD: Integers,
        distances_D: Sequence[Array],
        epochs: int,
        fit: Fit | None = None,
        earlier_KGB: Array | None = None,
        min_epochs: int | None = None,
    ) -> None:
        self.model = CurveModel(places_GD, distances_D, epochs, earlier_KGB)
        self.epochs = epochs
        self._distances_D = distances_D
        usual = max(1, round(math.sqrt(epochs)))
        self._min_epochs = min(epochs, usual if min_epochs is None else min_epochs)
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
        curves = _curves(trials)
        with _one_thread():
            self.model.fit(curves, _FIT_ITERATIONS)
        self._fitted_to = sum(len(curve.recalls) for curve in curves)
        self._last = None

    def posterior(self, trials: Sequence[TrialView]) -> Posterior:
        """What the trials say of every candidate; the doubt is what running ones will leave."""
        pending = [
            Pending(one.configuration, len(one.recalls), self._next_stop(len(one.recalls)))
            for one in trials
            if one.running
        ]
        key: _Key = (tuple(_curves(trials)), tuple(pending))
        if self._last is None or self._last[0] != key:
            with _one_thread():
                self._last = key, self.model.posterior(key[0], pending)
        return self._last[1]

    def answer(
        self,
        trials: Sequence[TrialView],
        standing: int | None = None,
        ruled_out: Sequence[int] = (),
    ) -> Answer:
        """The candidate to recommend: of those that ran, the one with the best posterior mean.

        Among near-equals that would be another after every epoch. So an answer stands until another
        candidate is better with a probability of `_PROBABLY`.

        Args:
            trials: All trials of the study.
            standing: The answer before.
            ruled_out: Candidates that can't be it, unless there are no others.
        """
        tried = {trial.configuration for trial in trials if trial.recalls}
        among = sorted(tried.difference(ruled_out) or tried or range(len(self.model.places_GD)))
        # Which trials are running has no bearing on the means, and little on the choice.
        if self._last is not None and self._last[0][0] == tuple(_curves(trials)):
            posterior = self._last[1]
        else:
            posterior = self.posterior(trials)
        row = max(among, key=lambda one: float(posterior.mean_G[one]))
        if standing in among and standing != row:
            with _one_thread():
                chance = float(posterior.chance_of_beating(standing)[row])
            row = standing if chance < _PROBABLY else row
        return Answer(row, float(posterior.mean_G[row]))

    def doubt(
        self,
        trials: Sequence[TrialView],
        answer: int,
        delta: float,
        epsilon: float,
        rng: np.random.Generator,
        barred: Sequence[int] = (),
    ) -> float:
        """The probability that a candidate beats the answer by more than ``delta``.

        It is 1 until three candidates that count have run, or all there are, and every value has,
        or one near it: a model that was shown one side of a cliff doesn't expect the other, and
        what earlier studies say may be wrong. Few data also leave it open how much a hyperparameter
        matters, and how much is luck; so the probability is a mean over draws of the model's
        settings. As these take a second, the settings at hand are asked first, and have the word
        where they doubt it already.

        Args:
            trials: All trials of the study.
            answer: The candidate that would be recommended.
            delta: In points of R@1.
            epsilon: From this probability on the settings at hand suffice.
            rng: Source of the samples that it is counted in.
            barred: Candidates that don't count.
        """
        count = set(range(len(self.model.places_GD))).difference(barred)
        ran = count.intersection(trial.configuration for trial in trials if trial.recalls)
        if len(ran) < min(_FEWEST_TO_DECIDE, len(count)) or any(self._unseen_D(ran, count)):
            return 1.0
        curves = _curves(trials)

        def chance_by(model: CurveModel) -> float:
            return model.posterior(curves, ()).chance_of_better(answer, delta, rng, barred)

        return self._with_care(chance_by, curves, epsilon, rng)

    def chance_of_overtaking(
        self,
        trials: Sequence[TrialView],
        answer: int,
        delta: float,
        epsilon: float,
        rng: np.random.Generator,
        barred: Sequence[int] = (),
    ) -> float:
        """The probability that trials that were begun, run to their ends, change the answer.

        That is, that the expected R@1 of another configuration among them then exceeds that of the
        answer by more than ``delta``. Doubts that these trials can't settle don't count, but for
        one time: a model that has seen few ends believes first epochs too much, so until four
        configurations are complete it is the probability that another is better, as for `doubt`.

        Args:
            trials: All trials of the study; running and resumable ones are the begun ones.
            answer: The candidate that would be recommended.
            delta: In points of R@1.
            epsilon: From this probability on the settings at hand suffice; as for `doubt`.
            rng: Source of the samples that it is counted in.
            barred: Candidates that don't count.
        """
        pending = [
            Pending(trial.configuration, len(trial.recalls), self.epochs)
            for trial in trials
            if (trial.running or trial.resumable) and trial.configuration not in barred
        ]
        rivals = sorted({one.configuration for one in pending}.difference([answer]))
        if not rivals:
            return 0.0
        complete = {one.configuration for one in trials if len(one.recalls) == self.epochs}
        curves = _curves(trials)

        def chance_by(model: CurveModel) -> float:
            now = model.posterior(curves, ())
            if len(complete) < _FEWEST_COMPLETE:
                return now.chance_of_overtaking(None, answer, rivals, delta, rng)
            later = model.posterior(curves, pending)
            return now.chance_of_overtaking(later, answer, rivals, delta, rng)

        return self._with_care(chance_by, curves, epsilon, rng)

    def _with_care(
        self,
        chance_by: Callable[[CurveModel], float],
        curves: Sequence[Curve],
        epsilon: float,
        rng: np.random.Generator,
    ) -> float:
        """A probability by the settings at hand; where that is small, by draws of settings."""
        with _one_thread():
            chance = chance_by(self.model)
            if chance >= epsilon:
                return chance
            draws = self.model.draws(curves, _DRAWS, rng)
            return sum(weight * chance_by(model) for weight, model in draws)

    def unseen(self, trials: Sequence[TrialView], barred: Sequence[int] = ()) -> list[list[int]]:
        """Of each hyperparameter, the candidates whose value neither ran nor one near it."""
        count = set(range(len(self.model.places_GD))).difference(barred)
        ran = count.intersection(trial.configuration for trial in trials if trial.recalls)
        return self._unseen_D(ran, count) if ran else []

    def _unseen_D(self, ran: Collection[int], count: Collection[int]) -> list[list[int]]:
        rows_C = np.array(sorted(count))
        ran_RD, count_CD = self.model.places_GD[sorted(ran)], self.model.places_GD[rows_C]
        nearest_DC = [
            distances_PP[count_CD[:, which]][:, ran_RD[:, which]].min(axis=1)
            for which, distances_PP in enumerate(self._distances_D)
        ]
        return [rows_C[nearest_C >= _NEAR].tolist() for nearest_C in nearest_DC]

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
        if current is not None and len(trials[current].recalls) < self._min_epochs:
            return Action(trials[current].configuration, current)
        with _one_thread():
            options = self._options(trials, current, may_start)
            allowed_A = ~np.isin(options.configurations_A, barred)
            if not allowed_A.any():
                return None
            posterior = self.posterior(trials)
            if not may_start:
                return self._last_word(trials, posterior, current, barred)
            leading = self._leading(trials, posterior, current, barred)
            if leading is not None:
                return Action(trials[leading].configuration, leading)
            value_A = np.zeros(len(allowed_A))
            if current is None and self._steps_begun(trials) % 2:
                left = self._left_for_good(trials)
                value_A = allowed_A * _promise(posterior, options, barred, left)
            if not value_A.any():
                value_A = allowed_A * _information(posterior, options, barred)
        best = int(value_A.argmax())
        trial = int(options.trials_A[best])
        return Action(int(options.configurations_A[best]), None if trial < 0 else trial)

    def _last_word(
        self,
        trials: Sequence[TrialView],
        posterior: Posterior,
        current: int | None,
        barred: Sequence[int],
    ) -> Action | None:
        """What to go on with when no new trial may start: the leader, else its likeliest rival."""
        able = [
            number
            for number, one in enumerate(trials)
            if (one.resumable or number == current)
            and len(one.recalls) < self.epochs
            and one.configuration not in barred
        ]
        if not able:
            return None
        ran = {trial.configuration for trial in trials if trial.recalls}.difference(barred)
        leader = max(sorted(ran), key=lambda row: float(posterior.mean_G[row]))
        chance_G = posterior.chance_of_beating(leader)
        chance_G[leader] = not any(
            trial.configuration == leader and (trial.running or len(trial.recalls) == self.epochs)
            for trial in trials
        )

        def likeliest(number: int) -> tuple[float, int, int]:
            trial = trials[number]
            return float(chance_G[trial.configuration]), len(trial.recalls), -number

        best = max(able, key=likeliest)
        return Action(trials[best].configuration, best)

    def _leading(
        self,
        trials: Sequence[TrialView],
        posterior: Posterior,
        current: int | None,
        barred: Sequence[int],
    ) -> int | None:
        """The leader's furthest trial, if it should go on now."""
        ran = {trial.configuration for trial in trials if trial.recalls}.difference(barred)
        if not ran:
            return None
        leader = max(sorted(ran), key=lambda row: float(posterior.mean_G[row]))
        its = [number for number, trial in enumerate(trials) if trial.configuration == leader]
        if any(trials[one].running or len(trials[one].recalls) == self.epochs for one in its):
            return None
        able = [one for one in its if trials[one].resumable or one == current]
        furthest = max(able, key=lambda one: len(trials[one].recalls), default=None)
        epochs = sum(len(trial.recalls) for trial in trials)
        if furthest is None or len(trials[furthest].recalls) >= _LEADERS_PART * epochs:
            return None
        return furthest

    def _steps_begun(self, trials: Sequence[TrialView]) -> int:
        """Of all trials, the fewest epochs that each runs for and every single one after them."""
        epochs = (len(trial.recalls) + trial.running for trial in trials)
        return sum(max(1, 1 + begun - self._min_epochs) for begun in epochs)

    def _left_for_good(self, trials: Sequence[TrialView]) -> list[int]:
        """Configurations of trials that were ended early, as they are where none can be paused."""
        return [
            trial.configuration
            for trial in trials
            if not (trial.running or trial.resumable or len(trial.recalls) == self.epochs)
        ]

    def _options(
        self, trials: Sequence[TrialView], current: int | None, may_start: bool
    ) -> "_Options":
        every_G = np.arange(len(self.model.places_GD))
        begun = [
            (len(trial.recalls), number, trial.configuration)
            for number, trial in enumerate(trials)
            if (trial.resumable or number == current) and len(trial.recalls) < self.epochs
        ]
        parts: list[Integers] = [np.zeros((5, 0), dtype=np.int64)]
        for before in sorted({before for before, _, _ in begun}):
            those = np.array([one[1:] for one in begun if one[0] == before])
            parts += self._ahead(those[:, 1], those[:, 0], before)
        if may_start:
            parts += self._ahead(every_G, np.full_like(every_G, -1), 0)
        rows_A, trials_A, before_A, after_A, shortest_A = np.concatenate(parts, axis=1)
        switch_A = np.where(trials_A == (-2 if current is None else current), 0.0, _SWITCH_EPOCHS)
        costs = _Costs(self.model, trials)
        seconds_A = costs.of(rows_A, before_A, after_A, switch_A)
        return _Options(rows_A, trials_A, before_A, after_A, shortest_A > 0, seconds_A)

    def _ahead(self, rows: Integers, trials: Integers, before: int) -> list[Integers]:
        """Columns of options for trials that have run for the same number of epochs."""
        stop = self._next_stop(before)
        columns = [(before, after, after == stop) for after in _horizons(before, stop, self.epochs)]
        return [
            np.stack([rows, trials, *(np.full_like(rows, one) for one in column)])
            for column in columns
        ]

    def _next_stop(self, before: int) -> int:
        """The epoch after which a trial that has run for so many may be left next."""
        return min(max(before + 1, self._min_epochs), self.epochs)


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


_one_at_a_time = RLock()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one of NumPy's threads: the matrices are small, and other workers need the cores."""
    with _one_at_a_time, _thread_pools().limit(limits=1, user_api="blas"):
        yield


def _curves(trials: Sequence[TrialView]) -> list[Curve]:
    return [Curve(trial.configuration, trial.recalls) for trial in trials]


class _Options(NamedTuple):
    """All actions: train a configuration, as trial number (-1: a new one), from epoch to epoch."""

    configurations_A: Integers
    trials_A: Integers
    before_A: Integers
    after_A: Integers
    shortest_A: Flags  # whether it ends at the trial's next stop
    seconds_A: Array


def _horizons(before: int, stop: int, epochs: int) -> list[int]:
    """How far a trial may be thought to run: to its next stop, 2, 4, ... times as far, its end."""
    steps = []
    ahead = stop - before
    while before + ahead < epochs:
        steps.append(before + ahead)
        ahead *= 2
    return [*steps, epochs]


def _promise(
    posterior: Posterior, options: _Options, barred: Sequence[int], left: Sequence[int]
) -> Array:
    """(A,) the expected improvement of the configuration, for the shortest actions.

    Of its trials the longest one is the first choice. Those that were left for good aren't begun
    anew.
    """
    hope_G = posterior.mean_G - posterior.mean_G[posterior.best_but(barred)]
    improvement_G = _expected_improvement(hope_G, np.sqrt(posterior.own_GBB[:, 0, 0]))
    value_A: Array = improvement_G[options.configurations_A] * (1.0 + _SLIGHTLY * options.before_A)
    again_A = (options.trials_A < 0) & np.isin(options.configurations_A, left)
    return np.where(options.shortest_A & ~again_A, value_A, 0.0)


def _information(posterior: Posterior, options: _Options, barred: Sequence[int]) -> Array:
    """(A,) what an action takes away of the doubts that matter, per second."""
    if len(posterior.mean_G) == 1:
        return 1.0 / options.seconds_A
    spans, which_A = np.unique(options.before_A * _SPAN + options.after_A, return_inverse=True)
    precision_XBB = np.array([posterior.foresee(*divmod(int(span), _SPAN)) for span in spans])
    precision_ABB = precision_XBB[which_A]
    rows_A = options.configurations_A
    # N·(1 + Σ·N)⁻¹ is what the epochs bring beyond what is known.
    reached_ABB = np.eye(PARTS) + precision_ABB @ posterior.own_GBB[rows_A]
    gained_ABB = np.linalg.solve(reached_ABB, precision_ABB)
    value_A = np.einsum("aij,aij->a", gained_ABB, _questions(posterior, barred)[rows_A])
    rates_A: Array = np.maximum(value_A, np.finfo(float).tiny) / options.seconds_A
    return rates_A


def _questions(posterior: Posterior, barred: Sequence[int]) -> Array:
    """(G, B, B) how the parts of a configuration's curve bear on the doubts that matter.

    The sum over configurations in question of what their difference from the best one shares with
    these parts, as a share of its variance and weighed by its expected improvement.
    """
    best = posterior.best_but(barred)
    deviation_G = posterior.deviations_from(best)
    improvement_G = _expected_improvement(posterior.mean_G - posterior.mean_G[best], deviation_G)
    order_G = np.argsort(-improvement_G, kind="stable")
    rows_R = order_G[~np.isin(order_G, [best, *barred])][:_IN_QUESTION]
    covariance_BRG = posterior.covariance([*rows_R, best])
    shared_BRG = covariance_BRG[:, :-1] - covariance_BRG[:, -1:]
    shared_BRG *= (np.sqrt(improvement_G[rows_R]) / deviation_G[rows_R])[:, None]
    questions_GBB: Array = np.einsum("irg,jrg->gij", shared_BRG, shared_BRG)
    return questions_GBB


def _expected_improvement(behind: Array, deviation: Array) -> Array:
    standard = behind / deviation
    density = np.exp(-0.5 * standard**2) / np.sqrt(2.0 * np.pi)
    improvement: Array = behind * ndtr(standard) + deviation * density
    return np.maximum(improvement, np.finfo(float).tiny)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class _Costs:
    """Seconds of an epoch of every configuration, learned from those that ran.

    The logarithm varies by an additive kernel with fixed settings; a trial's first epoch, with its
    warm-up, takes a common factor longer.
    """

    _SPREAD, _NOISE = 0.5, 0.1

    def __init__(self, model: CurveModel, trials: Sequence[TrialView]) -> None:
        self._log_seconds_G = np.zeros(len(model.places_GD))
        self._first = 1.0
        known = [trial for trial in trials if trial.seconds]
        if not known:
            return
        ratios = [
            trial.seconds[0] / _mean(trial.seconds[1:]) for trial in known if trial.seconds[1:]
        ]
        self._first = float(np.median(ratios)) if ratios else 1.0
        logs_N = np.log(
            [
                _mean(trial.seconds[1:]) if trial.seconds[1:] else trial.seconds[0] / self._first
                for trial in known
            ]
        )
        features_GF = model.features(1.0)
        features_NF = features_GF[[trial.configuration for trial in known]]
        precision_FF = features_NF.T @ features_NF / self._NOISE**2
        precision_FF[np.diag_indices_from(precision_FF)] += 1.0 / self._SPREAD**2
        mean = float(logs_N.mean())
        shift_F = features_NF.T @ (logs_N - mean) / self._NOISE**2
        self._log_seconds_G = mean + features_GF @ np.linalg.solve(precision_FF, shift_F)

    def of(
        self, configurations_A: Integers, before_A: Integers, after_A: Integers, switch_A: Array
    ) -> Array:
        """Seconds of the epochs after ``before_A`` up to ``after_A``, and of a switch."""
        epochs_A = after_A - before_A + switch_A + (self._first - 1.0) * (before_A == 0)
        seconds_A: Array = np.exp(self._log_seconds_G[configurations_A]) * epochs_A
        return seconds_A
