"""What the sampler's model thinks of a study's configurations."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from histsearch.search.candidates import Configuration
from histsearch.search.curve_model import Array
from histsearch.search.experience import favourites
from histsearch.search.history import PERCENT, History, find_answer, load_planner, read_history
from histsearch.search.planner import Planner, TrialView

_SEED = 0
_PLATEAU = 0.5  # points of R@1 under the peak: what a search counts as no difference
_SURELY = 2.0  # standard deviations


@dataclass(frozen=True)
class Outlook:
    """The model's view of a study at one moment.

    Attributes:
        answer: Row of the configuration to recommend.
    """

    history: History
    planner: Planner
    answer: int

    @classmethod
    def of(
        cls,
        study: optuna.Study,
        search_space: Mapping[str, BaseDistribution],
        epochs: int,
        min_epochs: int | None = None,
        *,
        final: bool = False,
    ) -> Self:
        """Read a study as it stands.

        Args:
            study: The study.
            search_space: The searched parameters.
            epochs: Epochs of a full run.
            min_epochs: How long a trial runs at least; as in the study's sampler.
            final: Whether all its trials have begun; as in `find_answer`.
        """
        rng = np.random.default_rng(_SEED)
        trials, favoured = study.get_trials(deepcopy=False), favourites(study, search_space)
        history = read_history(trials, search_space, epochs, rng, favoured)
        planner = load_planner(study, history, epochs, min_epochs)
        planner.refit(history.views)
        return cls(history, planner, find_answer(study, history, planner, final=final))

    @property
    def configuration(self) -> Configuration:
        """The configuration to recommend."""
        return self.history.candidates.configurations[self.answer]

    def merit(self, trial: FrozenTrial) -> tuple[bool, float] | None:
        """Whether a trial's configuration is the answer; R@1 expected of it at the last epoch.

        None for a trial that reported none itself.
        """
        index = self.history.index(trial.number)
        if index is None or not self.history.views[index].recalls:
            return None
        return self._merit(self.history.views[index])

    def training_length(self, trial: FrozenTrial) -> int | None:
        """For how many epochs a trial's configuration is best trained, from 1 on.

        The last epoch whose expected R@1 is on the plateau of the configuration's mean curve.
        None where no trial has reported an epoch, or the space doesn't hold this one.
        """
        index = self.history.index(trial.number)
        if index is None or not any(view.recalls for view in self.history.views):
            return None
        posterior = self.planner.posterior(self.history.views)
        return plateau_end(*posterior.curve(self.history.views[index].configuration))

    def winner(self, numbers: Collection[int], *, any_will_do: bool = False) -> int | None:
        """Number of the trial that is furthest of those of the best configuration.

        That is the answer; where none of the trials is of it, the one with the best expectations.

        Args:
            numbers: The trials to look at.
            any_will_do: Whether configurations count of which a trial failed and none ran to its
                end.
        """
        begun = [
            (self._merit(view), len(view.recalls), -number)
            for view, number in zip(self.history.views, self.history.numbers, strict=True)
            if number in numbers
            and view.recalls
            and (any_will_do or view.configuration not in self.history.ruled_out)
        ]
        return -max(begun)[2] if begun else None

    def doubt(self, delta: float, epsilon: float) -> float:
        """The probability that another configuration is better than the answer.

        Those that failed or diverged don't count.

        Args:
            delta: By more than so many points of R@1.
            epsilon: Below this probability it is worked out with more care.
        """
        views = [view._replace(running=False) for view in self.history.views]
        rng = np.random.default_rng(_SEED)
        return self.planner.doubt(views, self.answer, delta, epsilon, rng, self.history.barred)

    def chance_of_overtaking(self, delta: float, epsilon: float) -> float:
        """The probability that trials that were begun, run to their ends, change the answer.

        Those of configurations that failed or diverged don't count.

        Args:
            delta: By more than so many points of R@1.
            epsilon: Below this probability it is worked out with more care.
        """
        rng = np.random.default_rng(_SEED)
        return self.planner.chance_of_overtaking(
            self.history.views, self.answer, delta, epsilon, rng, self.history.barred
        )

    def unseen(self) -> dict[str, list[tuple[Any, Any]]]:
        """The values of each hyperparameter that neither ran nor one near them.

        Spans of neighbouring ones, each by its first and last value.
        """
        configurations = self.history.candidates.configurations
        rows_D = self.planner.unseen(self.history.views, self.history.barred)
        return {
            name: _spans(
                [one[name] for one in configurations], [configurations[row][name] for row in rows]
            )
            for name, rows in zip(configurations[0], rows_D, strict=False)
            if rows
        }

    def _merit(self, view: TrialView) -> tuple[bool, float]:
        mean_G = self.planner.posterior(self.history.views).mean_G
        return view.configuration == self.answer, float(mean_G[view.configuration]) / PERCENT


def _spans(values: Sequence[Any], among: Collection[Any]) -> list[tuple[Any, Any]]:
    """First and last value of each stretch of sorted values that are all among some."""
    stretches = [
        list(stretch)
        for inside, stretch in groupby(sorted(set(values)), key=set(among).__contains__)
        if inside
    ]
    return [(stretch[0], stretch[-1]) for stretch in stretches]


def plateau_end(mean_T: Array, covariance_TT: Array) -> int:
    """The last epoch, from 1 on, at which a curve isn't surely below its peak.

    A later epoch is given up when it is expected to be worse by more than half a point and by more
    than two standard deviations of the difference: a few curves that fall may have done so by luck,
    and a run cut short by mistake loses more than one that goes on along a plateau.

    Args:
        mean_T: Expected R@1 after each epoch, in percent.
        covariance_TT: Its covariance.
    """
    peak = int(mean_T.argmax())
    variance_T = np.diag(covariance_TT) - 2.0 * covariance_TT[peak] + covariance_TT[peak, peak]
    doubt_T = _SURELY * np.sqrt(np.maximum(variance_T, 0.0))
    on_plateau_T = mean_T[peak] - mean_T <= np.maximum(_PLATEAU, doubt_T)
    return int(np.flatnonzero(on_plateau_T)[-1]) + 1
