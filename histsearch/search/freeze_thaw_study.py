"""A freeze-thaw search of an Optuna study: its trials, and what it remembers in attributes."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from histsearch.freeze_thaw.planner import Fit
from histsearch.freeze_thaw.search import FreezeThawSearch, draw_seed
from histsearch.freeze_thaw.settings import Settings
from histsearch.freeze_thaw.trials import Configuration
from histsearch.search.freeze_thaw_trials import TrialReader
from histsearch.search.standing import Standing
from histsearch.search.warm_start import attributes_of, read_earlier_studies

FIT = "histsearch.fit"
"""Attribute of a study: the settings of the sampler's model, for any process to go on with."""

WINNER = "histsearch.winner"
"""Attribute of a study: the configuration that stands as its winner."""


class FreezeThawStudy:
    """A study's search, with the fit that the study remembers and the studies it began with.

    Attributes:
        search: The search.
        numbers: The numbers of its trials, those with all searched parameters.
    """

    def __init__(
        self, study: optuna.Study, search: FreezeThawSearch, numbers: Sequence[int]
    ) -> None:
        self._study = study
        self.search = search
        self.numbers = numbers

    @classmethod
    def read(
        cls,
        study: optuna.Study,
        trials: Sequence[FrozenTrial],
        reader: TrialReader,
        epochs: int,
        *,
        seed: int | None,
        min_epochs: int | None = None,
        folds: int = 1,
    ) -> Self:
        """Read a study.

        Args:
            study: The study.
            trials: Those of its trials that count.
            reader: Reads them for the search.
            epochs: Epochs of a full run.
            seed: Fixes the draw of candidates, in a large space, with what the trials have shown;
                None for one that these don't change.
            min_epochs: How long a trial runs at least before it is left.
            folds: Folds that trials validate on.
        """
        shown = reader.read(trials)
        earlier = read_earlier_studies(study)
        stored = attributes_of(study).get(FIT)
        fit = None
        if stored is not None:
            settings = Settings(np.array(stored["settings"]), len(earlier), folds > 1)
            fit = Fit(settings, int(stored["epochs"]))
        search = FreezeThawSearch(
            reader.space,
            epochs,
            shown.trials,
            draw=0 if seed is None else draw_seed(seed, shown.begun, shown.epochs),
            min_epochs=min_epochs,
            earlier=earlier,
            fit=fit,
            folds=folds,
        )
        return cls(study, search, shown.numbers)

    def index(self, number: int) -> int | None:
        """Place of a trial in the search; None for one without all searched parameters."""
        return self.numbers.index(number) if number in self.numbers else None

    def refit(self) -> None:
        """Fit the model's settings anew if it is time, and have the study remember that."""
        if self.search.refit():
            fit = self.search.planner.fit
            values = [round(float(value), 6) for value in fit.settings.values_S]
            self._study.set_user_attr(FIT, {"settings": values, "epochs": fit.epochs})

    def winner(self, *, final: bool = False) -> Configuration:
        """The study's winner, beginning with the one it remembers.

        Args:
            final: Whether all its trials have begun: the winner then is what is expected to be
                best, whichever stood before.
        """
        return self.search.winner(None if final else attributes_of(self._study).get(WINNER))

    def store_winner(self, *, final: bool = False) -> Standing | None:
        """Have the study remember its winner, where it is another than before; as `winner`.

        Returns:
            How its configurations stand; None where no trial has reported an epoch.
        """
        if not self.search.has_epochs:
            return None
        winner = self.winner(final=final)
        if winner != attributes_of(self._study).get(WINNER):
            self._study.set_user_attr(WINNER, winner)
        return Standing.of(self.search, winner)
