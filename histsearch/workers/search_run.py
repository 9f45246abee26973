"""The run of a search's trial."""

import copy
import logging
from dataclasses import replace
from functools import cached_property
from typing import Any

from numpy.linalg import LinAlgError
from optuna.pruners import NopPruner
from optuna.trial import TrialState

from histsearch.data.image_set import ImageSet
from histsearch.studies import trial_record
from histsearch.studies.claim import Claim, ClaimLostError
from histsearch.studies.definition import SearchDefinition
from histsearch.studies.queue import goes_straight_on
from histsearch.studies.study_end import is_needless
from histsearch.training.run_inputs import RunInputs, split_images
from histsearch.training.trainer import Epoch, Trainer
from histsearch.workers import metrics
from histsearch.workers.outcome import Outcome
from histsearch.workers.run import VERDICT_SECONDS, Run
from histsearch.workers.run_context import RunContext

log = logging.getLogger(__name__)


class SearchRun(Run):
    """Trains on part of the training classes, validates each epoch, and may be pruned."""

    any_epoch = replace(Run.any_epoch, score=0.0)

    def __init__(
        self,
        context: RunContext,
        claim: Claim,
        inputs: RunInputs,
        started: float,
        definition: SearchDefinition,
    ) -> None:
        super().__init__(context, claim, inputs, started)
        self.space = definition.space
        self.left_after: int | None = None
        self.left_because = ""
        self.judged = self.study.for_verdicts()

    def facts(self) -> dict[str, Any]:
        """The same with the seed, which is no parameter of a search."""
        return {**super().facts(), trial_record.SEED: self.settings.seed}

    @cached_property
    def split(self) -> tuple[ImageSet, ImageSet, ImageSet | None]:
        """The training images, the validation images, and their gallery if they have one."""
        return split_images(self.dataset, self.space.protocol, self.claim.fold)

    def training_images(self) -> ImageSet:
        """Those of the classes that aren't held out."""
        return self.split[0]

    def outcome(self, trainer: Trainer) -> Outcome:
        """Train until the end or until left; the best validation score is the trial's value."""
        _, validation, gallery = self.split
        for epoch in trainer.epochs(validation, gallery):
            self.note(trainer, epoch)
            if not self.is_last(epoch) and self._is_to_be_left():
                outcome = self._left(trainer)
                if outcome is not None:
                    return outcome
        return Outcome(TrialState.COMPLETE, value=self._best, objective=self.objective)

    def _left(self, trainer: Trainer) -> Outcome | None:
        """The outcome of a trial to be left; None where its state can't be saved, to go on."""
        if self.study.pauses:
            self.left_after = None
            if not self.keep(trainer):
                return None
            return Outcome(TrialState.WAITING, reason=self.left_because)
        shortfall = f"is under {self.space.pruner.rule}"
        return Outcome(
            TrialState.PRUNED,
            reason=f"{self.objective} {self._best:.2%} after epoch {self.left_after} {shortfall}",
        )

    @property
    def _best(self) -> float:
        return max(self.curve().values())

    def note(self, trainer: Trainer, epoch: Epoch) -> None:
        """Take in an epoch, with its validation score."""
        super().note(trainer, epoch)
        assert epoch.score is not None
        metrics.VALIDATION_SCORE.labels(self.study.name, self.objective).set(epoch.score)

    def progress(self, trainer: Trainer) -> dict[str, Any]:
        """The same with the best epoch so far."""
        curve = self.curve()
        # max() takes the first of equals.
        best_epoch = max(curve, key=lambda epoch: curve[epoch])
        return {**super().progress(trainer), trial_record.BEST_EPOCH: best_epoch}

    def _is_to_be_left(self) -> bool:
        if isinstance(self.judged.optuna_study.pruner, NopPruner):
            return False
        curve = self.curve()
        if len(curve) < self.study.definition.fewest_epochs:
            return False
        self.context.reporter.report(lambda: self._judge(curve))
        if not self.context.reporter.is_away:
            self.context.reporter.settle(VERDICT_SECONDS)
        return self.left_after is not None

    def _judge(self, curve: dict[int, float]) -> None:
        if len(curve) < len(self.finished):
            return  # it was kept while the database was away, and a later one follows
        try:
            with self.judged.at_one_moment():
                if self._is_due_to_leave(curve):
                    self.left_because = self._reason_to_leave(max(curve))
                    self.left_after = max(curve)
        except KeyError:  # the study was deleted
            raise ClaimLostError from None
        except LinAlgError as error:
            log.warning("%s  no verdict of the pruner: %s", self.claim.label, error)

    def _reason_to_leave(self, epoch: int) -> str:
        if self.judged.ended:
            return "the study ended"
        paused = self.judged.paused
        why = "the study was paused" if paused else "something else promises more"
        return f"after epoch {epoch} {why}"

    def _is_due_to_leave(self, curve: dict[int, float]) -> bool:
        """Whether the trial is to be left, and wouldn't be this worker's next one all the same."""
        study = self.judged
        # By the curve of this run: an earlier attempt may have stored steps beyond it.
        trial = copy.copy(study.known_trial(self.claim.trial._trial_id))
        trial.intermediate_values = curve
        if study.pauses and is_needless(study, trial, self.context.reporter.worker_id):
            return True
        leave = study.optuna_study.pruner.prune(study.optuna_study, trial)
        return leave and not (study.pauses and goes_straight_on(study, trial))
