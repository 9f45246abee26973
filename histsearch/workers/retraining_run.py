"""The run of a retraining's trial."""

import logging
from functools import partial

from optuna.trial import TrialState

from histsearch.data.image_set import ImageSet
from histsearch.exceptions import CheckpointError, StoreFullError
from histsearch.models.checkpoint import write_checkpoint
from histsearch.studies import trial_record
from histsearch.studies.embeddings_file import NEAREST, write_embeddings_file
from histsearch.studies.store_keys import embeddings_key, model_key
from histsearch.training.batch_source import count_evaluation_batches
from histsearch.training.checkpoint_store import Fill
from histsearch.training.evaluation import EmbeddedImages, Figures, take_figures
from histsearch.training.progress_display import Phase
from histsearch.training.trainer import InterruptedRunError, Trainer
from histsearch.wording import counted
from histsearch.workers.kept_embeddings import EmbeddedParts, training_sample
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
        embedded = trainer.embed(self.dataset.test, self.dataset.gallery)
        figures = take_figures(
            embedded,
            self.dataset.record,
            objective=self.settings.objective,
            nearest=NEAREST,
            on_step=self.step,
            on_phase=self.begin,
        )
        self.record(
            {
                trial_record.RECALL: {str(k): value for k, value in figures.recall.items()},
                trial_record.FIGURES: figures.others,
            }
        )
        self._keep_model(trainer)
        self._keep_embeddings(trainer, embedded, figures)
        value = figures.measured[self.settings.objective.name]
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

    def _keep_model(self, trainer: Trainer) -> None:
        """Save the trained model, for evaluation and export."""
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
        key = model_key(self.study, self.claim.trial.number)
        self._keep("model", key, fill, trial_record.CHECKPOINT)

    def _keep_embeddings(
        self, trainer: Trainer, embedded: EmbeddedImages, figures: Figures
    ) -> None:
        """Save the embeddings of the test and of some training images, for the report."""
        sample = training_sample(self.dataset.train)
        name = "embedding a sample of the training images"
        self.begin(Phase(name, steps=count_evaluation_batches([sample])))
        parts = EmbeddedParts(embedded, figures.nearest_NK, sample, trainer.embed(sample).query_ND)
        content = parts.to_file(self.dataset, self.context.settings.data_dir)
        key = embeddings_key(self.study, self.claim.trial.number)
        fill = partial(write_embeddings_file, content=content)
        self._keep("embeddings", key, fill, trial_record.EMBEDDINGS)

    def _keep(self, thing: str, key: str, fill: Fill, attribute: str) -> None:
        """Save a file beside the others of the study, and record its place.

        Args:
            thing: What it holds, in a word for messages.
            key: Its key in the store.
            fill: Writes it.
            attribute: The trial's attribute that names the place.

        Raises:
            InterruptedRunError: The trial is another worker's by now.
            StoreFullError: There is no room for it.
        """
        # A copy that woke up too late mustn't replace its successor's file.
        self.context.reporter.settle(VERDICT_SECONDS)
        if self.context.reporter.lost:
            raise InterruptedRunError
        saving = f"saving its {thing}"
        self.begin(Phase(saving))
        try:
            with self.context.watch.long_step(saving):
                self.context.checkpoints.write_from(key, fill)
        except StoreFullError:
            raise
        except CheckpointError as error:
            # The figures are in the database; the file is all that is lost.
            log.warning("the %s can't be kept: %s", thing, error)
            return
        self.record({attribute: self.context.checkpoints.place(key)})
