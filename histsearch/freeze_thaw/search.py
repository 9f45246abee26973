"""A search in memory: it is shown trials, says what to train next, and which configuration wins.

Whoever keeps the trials, a database or a simulator, shows all of them before each question.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from histsearch.freeze_thaw import certainty
from histsearch.freeze_thaw.actions import Action
from histsearch.freeze_thaw.candidates import Candidates, SearchSpace
from histsearch.freeze_thaw.earlier_study import EarlierStudy, expected_by_all
from histsearch.freeze_thaw.failures import hopeless
from histsearch.freeze_thaw.planner import Fit, Planner
from histsearch.freeze_thaw.trials import Configuration, Trial, TrialView
from histsearch.freeze_thaw.variance_shares import VarianceShare, variance_shares

DrawSeed = int | tuple[int, ...]

_FEWEST_FOR_SHARES = 3  # configurations that ran
_BEST = 8  # configurations around which a large space is looked at more closely


def draw_seed(seed: int, trials: int, epochs: int) -> DrawSeed:
    """Seed of a draw of candidates: another one after every epoch, and every trial begun.

    Args:
        seed: That of the search.
        trials: How many have begun.
        epochs: How many these have run for, all together.
    """
    return seed, trials, epochs


class FreezeThawSearch:
    """A search at one moment, and at later ones by `observe`.

    Args:
        space: What is searched.
        epochs: Epochs of a full run.
        trials: All trials so far.
        draw: Seed of the draw of candidates, in a large space.
        min_epochs: How long a trial runs at least before it is left; as in `Planner`.
        earlier: The studies it began with.
        fit: An earlier fit of the model's settings to start from.
        folds: Folds that trials validate on.

    Attributes:
        candidates: What to choose from, the trials' own configurations included.
        planner: What decides.
        views: The trials, by their candidates' rows.
        barred: Candidates that must not be trained: they failed or diverged, or have a value with
            which hardly a trial runs.
        ruled_out: Those that failed or diverged and that no trial has run to its end; they can't
            win.
    """

    def __init__(
        self,
        space: SearchSpace,
        epochs: int,
        trials: Sequence[Trial] = (),
        *,
        draw: DrawSeed = 0,
        min_epochs: int | None = None,
        earlier: Sequence[EarlierStudy] = (),
        fit: Fit | None = None,
        folds: int = 1,
    ) -> None:
        self._space = space
        self._epochs = epochs
        self._min_epochs = min_epochs
        self._earlier = earlier
        self._folds = folds
        favourites = [
            {name: one.usual[name] for name in space.names if name in one.usual} for one in earlier
        ]
        self._favourites = [one for one in favourites if space.holds(one)]
        self._drawn_by = draw
        self.candidates = self._draw(trials)
        self.planner = self._plan(fit)
        self._look_at(trials)

    def observe(self, trials: Sequence[Trial], draw: DrawSeed = 0) -> None:
        """Take in all trials as they are now.

        Args:
            trials: The trials, their configurations in the space.
            draw: Seed of the draw of candidates, in a large space. The same one draws nothing new.
        """
        is_drawn = self._space.is_small or draw == self._drawn_by
        if not is_drawn or any(self.candidates.row(one.configuration) is None for one in trials):
            self._drawn_by = draw
            self.candidates = self._draw(trials)
            self.planner = self._plan(self.planner.fit)
        self._look_at(trials)

    def _draw(self, trials: Sequence[Trial]) -> Candidates:
        best = sorted(trials, key=_progress, reverse=True)[:_BEST]
        return self._space.candidates(
            [*(trial.configuration for trial in trials), *self._favourites],
            [*(trial.configuration for trial in best), *self._favourites],
            np.random.default_rng(self._drawn_by),
        )

    def _plan(self, fit: Fit | None) -> Planner:
        return Planner(
            self.candidates.places_GD,
            self.candidates.distances_D,
            self._epochs,
            fit,
            expected_by_all(self._earlier, self.candidates.configurations),
            self._min_epochs,
            self._folds,
        )

    def _look_at(self, trials: Sequence[Trial]) -> None:
        self.views: list[TrialView] = []
        failed = []
        for trial in trials:
            row = self.candidates.row(trial.configuration)
            assert row is not None
            if trial.failed:
                failed.append(row)
            self.views.append(
                TrialView(
                    *(row, trial.recalls, trial.seconds),
                    *(trial.running, trial.resumable, trial.fold),
                )
            )
        whole = {view.configuration for view in self.views if len(view.recalls) == self._epochs}
        self.ruled_out = [row for row in failed if row not in whole]
        self.barred = failed + hopeless(self.candidates, self.views, failed)

    @property
    def has_epochs(self) -> bool:
        """Whether a trial has reported one."""
        return any(view.recalls for view in self.views)

    def refit(self) -> bool:
        """Fit the model's settings anew if it is time; whether they were."""
        before = self.planner.fit.epochs
        self.planner.refit(self.views)
        return self.planner.fit.epochs != before

    def ask(self, *, current: int | None = None, may_start: bool = True) -> Action | None:
        """What to train next; None if there is nothing to do.

        Args:
            current: The trial that the asking worker has at hand, which ran until now.
            may_start: Whether a new trial could be started.
        """
        views = [
            view._replace(running=view.running and number != current)
            for number, view in enumerate(self.views)
        ]
        return self.planner.next(views, current=current, barred=self.barred, may_start=may_start)

    def ask_for_new(
        self, rngs: Sequence[np.random.Generator], fixed: Mapping[str, Any] | None = None
    ) -> Configuration:
        """The configuration of a new trial, whatever may be resumed.

        Args:
            rngs: One for each trial that is being chosen at this moment, the asked one the last:
                the source of a study's first configuration.
            fixed: Values that it has, where a candidate has them.
        """
        configurations = self.candidates.configurations
        every = range(len(configurations))
        agreeing = [row for row in every if (fixed or {}).items() <= configurations[row].items()]
        # In a range hardly any candidate has just the value that is fixed.
        possible = agreeing or list(every)
        possible = [row for row in possible if row not in self.barred] or possible
        barred = sorted({*every} - {*possible} | {*self.barred})
        views = [view._replace(resumable=False) for view in self.views]
        for rng in rngs:
            row = self._new(views, possible, barred, rng)
            views.append(TrialView(row, (), running=True))
        return configurations[views[-1].configuration]

    def _new(
        self,
        views: Sequence[TrialView],
        possible: Sequence[int],
        barred: Sequence[int],
        rng: np.random.Generator,
    ) -> int:
        if not any(view.recalls or view.running for view in views):
            return self.planner.first(possible, rng)
        action = self.planner.next(views, barred=barred)
        return possible[0] if action is None else action.configuration

    def winner(self, standing: Configuration | None = None) -> Configuration:
        """The configuration to recommend.

        Args:
            standing: The winner before, which stays until another is probably better; None for
                what is expected to be best.
        """
        row = None if standing is None else self.candidates.row(standing)
        return self.candidates.configurations[self.planner.winner(self.views, row, self.ruled_out)]

    def chance_of_better(
        self, winner: Configuration, delta: float, epsilon: float, rng: np.random.Generator
    ) -> float:
        """The probability that another configuration is better than the winner.

        Those that failed or diverged don't count.

        Args:
            winner: A candidate.
            delta: By more than so many points of R@1.
            epsilon: Below this probability it is worked out with more care.
            rng: Source of the samples that it is counted in.
        """
        views = [view._replace(running=False) for view in self.views]
        return certainty.chance_of_better(
            self.planner.model, views, self._row(winner), delta, epsilon, rng, self.barred
        )

    def chance_of_overtaking(
        self, winner: Configuration, delta: float, epsilon: float, rng: np.random.Generator
    ) -> float:
        """The probability that trials that were begun, run to their ends, change the winner.

        Those of configurations that failed or diverged don't count.

        Args:
            winner: A candidate.
            delta: By more than so many points of R@1.
            epsilon: Below this probability it is worked out with more care.
            rng: Source of the samples that it is counted in.
        """
        return certainty.chance_of_overtaking(
            self.planner.model, self.views, self._row(winner), delta, epsilon, rng, self.barred
        )

    def unseen(self) -> dict[str, list[tuple[Any, Any]]]:
        """The values of each parameter that neither ran nor one near them.

        Spans of neighbouring ones, each by its first and last value.
        """
        configurations = self.candidates.configurations
        rows_D = certainty.unseen(self.planner.model.kernel, self.views, self.barred)
        return {
            name: _spans(
                [one[name] for one in configurations], [configurations[row][name] for row in rows]
            )
            for name, rows in zip(configurations[0], rows_D, strict=False)
            if rows
        }

    def variance_shares(self, rng: np.random.Generator) -> list[VarianceShare]:
        """How much each parameter matters, and each pair; empty while few configurations ran.

        Args:
            rng: Source of draws from the posterior.
        """
        ran = {view.configuration for view in self.views if view.recalls}
        if len(ran) < _FEWEST_FOR_SHARES:
            return []
        return variance_shares(self.planner.model, self.planner.posterior(self.views), rng)

    def _row(self, configuration: Configuration) -> int:
        row = self.candidates.row(configuration)
        assert row is not None
        return row


def _progress(trial: Trial) -> tuple[int, float]:
    return (len(trial.recalls), trial.recalls[-1]) if trial.recalls else (0, 0.0)


def _spans(values: Sequence[Any], among: Collection[Any]) -> list[tuple[Any, Any]]:
    """First and last value of each stretch of sorted values that are all among some."""
    stretches = [
        list(stretch)
        for inside, stretch in groupby(sorted(set(values)), key=set(among).__contains__)
        if inside
    ]
    return [(stretch[0], stretch[-1]) for stretch in stretches]
