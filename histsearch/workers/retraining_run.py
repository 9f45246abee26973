"""The run of a retraining's trial."""

import logging
from functools import partial

from optuna.trial import TrialState

from histsearch.data.image_set import ImageSet
from histsearch.exceptions import CheckpointError, StoreFullError
from histsearch.models.checkpoint import write_checkpoint
from histsearch.retrieval.known_metrics import recall_at
from histsearch.studies import trial_record
from histsearch.studies.store_keys import model_key
from histsearch.training.batch_source import count_evaluation_batches
from histsearch.training.progress_display import Phase
from histsearch.training.trainer import InterruptedRunError, Trainer
from histsearch.wording import counted
from histsearch.workers.outcome import Outcome
from histsearch.workers.run import VERDICT_SECONDS, Run

log = logging.getLogger(__name__)


class RetrainingRun(Run):
    """Trains on the full training half and touches the test classes once, at the end."""

    def training_images(self) -> ImageSet:
        """The full training half."""
        return self.dataset.train

    def outcome(self, trainer: Trainer) -> Outcome:
        """Train to the end; the score on the test classes is the trial's value."""
        for epoch in trainer.epochs():
            self.note(trainer, epoch)
        self._begin_testing()
        objective = self.settings.objective
        recalls = {str(k): recall_at(k) for k in self.dataset.record.recall_ks}
        measured = trainer.measure(
            [objective, *recalls.values()], self.dataset.test, self.dataset.gallery
        )
        recall = {k: measured[metric.name] for k, metric in recalls.items()}
        self.record({trial_record.RECALL: recall})
        self._keep(trainer)
        value = measured[objective.name]
        return Outcome(
            TrialState.COMPLETE, value=value, objective=self.objective, images="test classes"
        )

    def _begin_testing(self) -> None:
        """Say that the test classes are ranked now, and that they are those."""
        parts = (self.dataset.test, self.dataset.gallery)
        images = [one for one in parts if one is not None]
        number = counted(sum(map(len, images)), "image")
        self.log(f"testing on the test classes: {number}", "testing")
        self.begin(Phase("testing on the test classes", steps=count_evaluation_batches(images)))
        self.show(self.finished[-1], "testing")

    def _keep(self, trainer: Trainer) -> None:
        """Save the trained model, for evaluation and export."""
        # A copy that woke up too late mustn't replace its successor's model.
        self.context.reporter.settle(VERDICT_SECONDS)
        if self.context.reporter.lost:
            raise InterruptedRunError
        self.begin(Phase("saving its model"))
        key = model_key(self.study, self.claim.trial.number)
        fill = partial(
            write_checkpoint,
            network=trainer.network,
            backbone=self.settings.backbone,
            preprocessing=trainer.preprocessing,
            embedding_size=self.settings.configuration.training.embedding_size,
            loss_state=trainer.loss.state_dict(),
            extra={
                "study": self.study.name,
                "trial": self.claim.trial.number,
                "dataset": self.study.definition.space.dataset,
                "epochs": self.settings.epochs,
                "seed": self.settings.seed,
                "loss": str(self.study.definition.space.loss),
                "precision": self.settings.precision,
                "determinism": self.settings.determinism,
                "hyperparameters": self.settings.hyperparameters,
            },
        )
        try:
            with self.context.watch.long_step("saving its model"):
                self.context.checkpoints.write_from(key, fill)
        except StoreFullError:
            raise
        except CheckpointError as error:
            # The figures are in the database; the model is all that is lost.
            log.warning("the model can't be kept: %s", error)
            return
        self.record({trial_record.CHECKPOINT: self.context.checkpoints.place(key)})
