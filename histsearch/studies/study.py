"""One study: an ordinary Optuna study with a definition, a trial budget and a pause switch."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from typing import TYPE_CHECKING, Any, Self

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import Connection

from histsearch.database.keeping_storage import KeepingStorage
from histsearch.database.storage import Storage
from histsearch.exceptions import DataError, StudyError
from histsearch.retrieval.known_metrics import Metric
from histsearch.search.freeze_thaw_trials import TrialReader
from histsearch.search.warm_start import names_of_earlier_studies
from histsearch.space.configuration import Value
from histsearch.studies.definition import Limits, StudyDefinition
from histsearch.studies.hours import in_hours
from histsearch.studies.stages import ENDED, PAUSED, StudyMove, move_study
from histsearch.studies.trial_record import SECONDS

if TYPE_CHECKING:
    from histsearch.search.study_posterior import StudyPosterior

DEFINITION = "histsearch.definition"
BUDGET = "histsearch.trials"
IMAGES = "histsearch.images"
SELECTION = "histsearch.selection"
CHANCE_OF_BETTER = "histsearch.chance_of_better"
LIMITS = "histsearch.limits"
LEFT_BY = "histsearch.left_by."


class Study:
    """A study of histsearch in a storage.

    Attributes:
        storage: Where it is.
        optuna_study: The same study for Optuna.
        definition: The unchanging part of it.
        reader: Reads its trials for its model.
    """

    def __init__(
        self, storage: Storage, optuna_study: optuna.Study, definition: StudyDefinition
    ) -> None:
        self.storage = storage
        self.definition = definition
        self.reader = TrialReader(
            definition.distributions(), definition.space.epochs, definition.folds
        )
        self._open(optuna_study, storage.keeping)

    def _open(self, optuna_study: optuna.Study, keeping: KeepingStorage) -> None:
        self._keeping = keeping
        self.optuna_study = copy(optuna_study)
        self.optuna_study._storage = keeping
        self.optuna_study.pruner = self.definition.pruner(lambda: self.may_start, self.reader)

    def within(self, connection: Connection) -> Self:
        """The same study inside a transaction, whose own changes it shows as well."""
        inside = copy(self)
        inside._open(self.optuna_study, self.storage.keeping_within(connection))
        return inside

    def for_verdicts(self) -> Self:
        """The same study for a worker that mustn't wait; as `Storage.keeping_for_verdicts`."""
        hurried = copy(self)
        hurried._open(self.optuna_study, self.storage.keeping_for_verdicts)
        return hurried

    def at_one_moment(self) -> AbstractContextManager[None]:
        """Within the block this thread sees the study as it was when it first asked."""
        return self._keeping.at_one_moment()

    @property
    def name(self) -> str:
        """The name users know it by."""
        return self.optuna_study.study_name

    @property
    def id(self) -> int:
        """Its key in the storage."""
        return self.optuna_study._study_id

    @property
    def objective(self) -> Metric:
        """The metric that it maximises."""
        return self.definition.space.protocol.metric

    @property
    def is_deleted(self) -> bool:
        """Whether it has been deleted meanwhile."""
        try:
            self.storage.optuna.get_study_name_from_id(self.id)
        except KeyError:
            return True
        return False

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return self._keeping.attributes(self.id)

    @property
    def budget(self) -> int:
        """How many trials it may hold, queued and finished ones included."""
        return int(self._attributes[BUDGET])

    @property
    def paused(self) -> bool:
        """Whether workers leave it alone."""
        return bool(self._attributes[PAUSED])

    @property
    def ended(self) -> str | None:
        """Why it ended; None while it goes on."""
        if self._ended_early is None and self.is_finished:
            return f"all {self.budget} trials have run" if self.budget > 1 else "its trial has run"
        return self._ended_early

    @property
    def _ended_early(self) -> str | None:
        """Why it ended before all trials of its budget were begun and run to their ends."""
        reason: str | None = self._attributes.get(ENDED)
        return reason

    @property
    def limits(self) -> Limits:
        """What ends it: as its definition has it, unless that was changed since."""
        kept = self._attributes.get(LIMITS)
        return self.definition.limits if kept is None else Limits.from_json(kept)

    @property
    def left_by(self) -> dict[str, str]:
        """Hosts whose last worker could not serve it, and why; none of a finished study."""
        attributes = {} if self.is_finished else self._attributes
        return {
            key.removeprefix(LEFT_BY): reason
            for key, reason in sorted(attributes.items())
            if key.startswith(LEFT_BY) and reason
        }

    def note_left(self, host: str, reason: str | None) -> None:
        """Note why a worker of this host can't serve it, or that it can."""
        if self._attributes.get(LEFT_BY + host) != reason:
            self.optuna_study.set_user_attr(LEFT_BY + host, reason)

    @property
    def chance_of_better(self) -> float | None:
        """How probable it was, when workers last asked, that another beats the winner by delta.

        While new trials may start, any other configuration: 1.0 until three configurations and
        every value were seen. Later, one of the paused or running trials. None where they haven't
        asked.
        """
        chance: float | None = self._attributes.get(CHANCE_OF_BETTER)
        return chance

    @property
    def warm_start(self) -> list[str]:
        """The earlier studies it learned from when it began."""
        return names_of_earlier_studies(self.optuna_study)

    def pause(self) -> None:
        """Let running trials finish, and start no more."""
        self.move(StudyMove.PAUSE)

    def resume(self) -> None:
        """Let workers start trials again."""
        self.move(StudyMove.RESUME)

    def move(self, move: StudyMove, reason: str | None = None) -> None:
        """Move it on; as `stages.move_study`."""
        move_study(self._keeping, self.id, move, reason)

    def count(self, *states: TrialState) -> int:
        """Number of trials in any of ``states``, or of all trials."""
        return self._keeping.get_n_trials(self.id, states or None)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials in any of ``states``, or all of them, by number."""
        return self.optuna_study.get_trials(deepcopy=False, states=states or None)

    def known_trial(self, trial_id: int) -> FrozenTrial:
        """One of its `trials`, for nobody to change.

        Raises:
            KeyError: It doesn't exist, or no longer.
        """
        return self._keeping.trials(self.id)[trial_id]

    def trial(self, trial_id: int) -> FrozenTrial:
        """One trial, read anew.

        Raises:
            KeyError: It doesn't exist, or no longer.
        """
        return self._keeping.get_trial(trial_id)

    def parameters_together(self) -> AbstractContextManager[None]:
        """Have what its trials are given within the block stored at its end."""
        return self._keeping.parameters_together()

    def tidy(self) -> None:
        """Remove what is noted of its trials' changes and has become needless."""
        self._keeping.forget_superseded(self.id)

    @property
    def is_open(self) -> bool:
        """Whether a worker could start a trial now."""
        if self.paused:
            return False
        return self.count(TrialState.WAITING) > 0 or self.may_start or self.has_no_winner

    @property
    def may_start(self) -> bool:
        """Whether its budget allows of a new trial; a retraining runs those it was created with."""
        if not self.definition.samples or self._ended_early is not None:
            return False
        return self.count() < self.budget

    @property
    def has_no_winner(self) -> bool:
        """Whether it ended, all that was begun failed after that, and it has trials left to begin.

        Only with the freeze-thaw pruner, which ends a study before its winner is complete.
        """
        if self._ended_early is None or not self.pauses:
            return False
        left = self.count(TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE)
        return left == 0 and self.count() < self.budget and not self.is_due

    @property
    def pauses(self) -> bool:
        """Whether its trials are paused, to be gone on with when they promise more."""
        return self.definition.pauses

    @property
    def hours(self) -> float:
        """What its trials have taken so far, all workers together."""
        return in_hours(self._keeping.sum_over_trials(self.id, SECONDS))

    @property
    def is_due(self) -> bool:
        """Whether its hours are used up."""
        limit = self.limits.gpu_hours
        return limit is not None and self.hours >= limit

    @property
    def is_finished(self) -> bool:
        """Whether its budget is used up or it has ended before, and no trial waits or runs."""
        if self.count(TrialState.WAITING, TrialState.RUNNING) or self.has_no_winner:
            return False
        return self._ended_early is not None or self.count() >= self.budget

    def check_images(self, fingerprint: str) -> None:
        """Make sure that all workers of a study, and of its retrainings, see the same images.

        The first worker's images become the study's.

        Raises:
            DataError: These are others.
        """
        known = self._attributes.get(IMAGES)
        if known is None:
            known = self.storage.optuna.note_study_attr(self.id, IMAGES, fingerprint)
        if known != fingerprint:
            raise DataError(
                f"the images of {self.definition.space.dataset} here aren't those that "
                f'"{self.name}" began with (classes, their split or their numbers of images '
                "differ, or another version read their pixels otherwise); bring them in line, "
                "or create another study"
            )

    def best(self, number: int = 1, posterior: "StudyPosterior | None" = None) -> list[FrozenTrial]:
        """The best completed trials, one for each configuration, best first; none of a retraining.

        With the freeze-thaw sampler, and where values are of several folds, first comes the
        configuration that stands as the winner, once a trial of it is complete, then those with the
        highest expected score; else those with the highest value.

        Args:
            number: How many.
            posterior: What the model thinks of it, where the caller has asked already.
        """
        complete = self.trials(TrialState.COMPLETE) if self.definition.selects else []
        merits = {trial.number: (False, trial.value or 0.0) for trial in complete}
        if complete and (self.definition.decides or self.definition.repeats):
            merits |= _merits(posterior or self.posterior(), complete)
        # The sort is stable, also in reverse: of equals the earlier one is first.
        ranked = sorted(complete, key=lambda trial: merits[trial.number], reverse=True)
        distinct: dict[str, FrozenTrial] = {}
        for trial in ranked:
            distinct.setdefault(repr(sorted(trial.params.items())), trial)
        return list(distinct.values())[:number]

    def complete_like(self, trial: FrozenTrial) -> list[FrozenTrial]:
        """The completed trials of a trial's configuration, itself included, by number."""
        return [one for one in self.trials(TrialState.COMPLETE) if one.params == trial.params]

    def posterior(self) -> "StudyPosterior":
        """What the model of the freeze-thaw sampler thinks of it."""
        # Takes half a second to import, which commands that ask no model are spared.
        from histsearch.search.study_posterior import StudyPosterior

        definition = self.definition
        return StudyPosterior.of(
            self.optuna_study,
            definition.distributions(),
            definition.space.epochs,
            definition.min_epochs,
            folds=definition.folds,
            final=self.count() >= self.budget,
            reader=self.reader,
        )

    def enqueue(self, configuration: Mapping[str, Value]) -> int:
        """Queue a configuration; parameters it leaves out are chosen by the sampler.

        A study whose budget is used up gets a larger one, so that what was asked for runs.

        Returns:
            The study's budget afterwards.

        Raises:
            SpaceError: A name isn't searched, or a value isn't in its list or range.
            StudyError: The study is a retraining, whose trials are fixed.
        """
        definition = self.definition
        if definition.source is not None:
            raise StudyError(
                f'found "{self.name}", a retraining whose trials are fixed; enqueue into a search '
                f'such as "{definition.source}"'
            )
        definition.space.check_configuration(configuration)
        with self.storage.lock(self.id) as connection:
            within = self.storage.optuna_within(connection)
            budget = max(self.budget, self.count() + 1)
            optuna.load_study(study_name=self.name, storage=within).enqueue_trial(
                dict(configuration)
            )
            within.set_study_user_attr(self.id, BUDGET, budget)
        return budget


def _merits(
    posterior: "StudyPosterior", trials: Sequence[FrozenTrial]
) -> dict[int, tuple[bool, float]]:
    """What the sampler's model thinks of some trials' configurations, by number."""
    return {
        trial.number: merit for trial in trials if (merit := posterior.merit(trial)) is not None
    }
