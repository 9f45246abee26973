"""What the posterior of a study's model says of its trials."""

from collections.abc import Collection, Mapping
from typing import Self

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from histsearch.freeze_thaw.search import FreezeThawSearch
from histsearch.freeze_thaw.training_length import plateau_end
from histsearch.freeze_thaw.trials import Configuration, TrialView
from histsearch.search.freeze_thaw_study import FreezeThawStudy
from histsearch.search.freeze_thaw_trials import PERCENT, TrialReader
from histsearch.search.standing import Standing

_SEED = 0


class StudyPosterior:
    """The model's view of a study at one moment.

    Attributes:
        search: The study's search.
        configuration: The one to recommend.
    """

    def __init__(self, study: FreezeThawStudy, configuration: Configuration) -> None:
        self._study = study
        self.search: FreezeThawSearch = study.search
        self.configuration = configuration
        self._row = self.search.candidates.row(configuration)

    @classmethod
    def of(
        cls,
        study: optuna.Study,
        search_space: Mapping[str, BaseDistribution],
        epochs: int,
        min_epochs: int | None = None,
        *,
        folds: int = 1,
        final: bool = False,
        reader: TrialReader | None = None,
    ) -> Self:
        """Read a study as it stands.

        Args:
            study: The study.
            search_space: The searched parameters.
            epochs: Epochs of a full run.
            min_epochs: How long a trial runs at least; as in the study's sampler.
            folds: Folds that trials validate on; as in the study's sampler.
            final: Whether all its trials have begun; as in `FreezeThawStudy.winner`.
            reader: Reads its trials, where it can remember them from one question to the next.
        """
        reader = reader or TrialReader(search_space, epochs, folds)
        trials = study.get_trials(deepcopy=False)
        read = FreezeThawStudy.read(
            study, trials, reader, epochs, seed=None, min_epochs=min_epochs, folds=folds
        )
        read.search.refit()
        return cls(read, read.winner(final=final))

    def merit(self, trial: FrozenTrial) -> tuple[bool, float] | None:
        """Whether a trial's configuration is the winner; the score expected at the last epoch.

        None for a trial that reported none itself.
        """
        index = self._study.index(trial.number)
        if index is None or not self.search.views[index].recalls:
            return None
        return self._merit(self.search.views[index])

    def training_length(self, trial: FrozenTrial) -> int | None:
        """For how many epochs a trial's configuration is best trained, from 1 on.

        The last epoch whose expected score is on the plateau of the configuration's mean curve, the
        mean over seeds and folds.
        None where no trial has reported an epoch, or the space doesn't hold this one.
        """
        index = self._study.index(trial.number)
        if index is None or not self.search.has_epochs:
            return None
        posterior = self.search.planner.posterior(self.search.views)
        return plateau_end(*posterior.curve(self.search.views[index].configuration))

    def standing(self) -> Standing | None:
        """How the study's configurations stand; None where no trial has reported an epoch."""
        if not self.search.has_epochs:
            return None
        return Standing.of(self.search, self.configuration)

    def winners_trial(self, numbers: Collection[int], *, any_will_do: bool = False) -> int | None:
        """Number of the trial that is furthest of those of the best configuration.

        That is the winner; where none of the trials is of it, the one with the best expectations.

        Args:
            numbers: The trials to look at.
            any_will_do: Whether configurations count of which a trial failed and none ran to its
                end.
        """
        begun = [
            (self._merit(view), len(view.recalls), -number)
            for view, number in zip(self.search.views, self._study.numbers, strict=True)
            if number in numbers
            and view.recalls
            and (any_will_do or view.configuration not in self.search.ruled_out)
        ]
        return -max(begun)[2] if begun else None

    def chance_of_better(self, delta: float, epsilon: float) -> float:
        """The probability that another configuration is better than the winner.

        As `FreezeThawSearch.chance_of_better`.
        """
        rng = np.random.default_rng(_SEED)
        return self.search.chance_of_better(self.configuration, delta, epsilon, rng)

    def chance_of_overtaking(self, delta: float, epsilon: float) -> float:
        """The probability that trials that were begun, run to their ends, change the winner.

        As `FreezeThawSearch.chance_of_overtaking`.
        """
        rng = np.random.default_rng(_SEED)
        return self.search.chance_of_overtaking(self.configuration, delta, epsilon, rng)

    def _merit(self, view: TrialView) -> tuple[bool, float]:
        mean_G = self.search.planner.posterior(self.search.views).mean_G
        return view.configuration == self._row, float(mean_G[view.configuration]) / PERCENT
