"""One trial, from its claimed parameters to its outcome."""

import copy
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import optuna
import torch
from optuna.trial import TrialState

from histsearch.data.catalog import recall_ks
from histsearch.data.dataset import Dataset
from histsearch.data.image_set import ImageSet
from histsearch.exceptions import DataError, HistsearchError, StorageError, WeightsError
from histsearch.models.checkpoint import save_checkpoint
from histsearch.studies import trial_record
from histsearch.studies.queue import forget_steps_after, trial_seed
from histsearch.studies.study import Study
from histsearch.training.hyperparameters import Value
from histsearch.training.run_checkpoint import RunCheckpoints
from histsearch.training.trainer import Epoch, InterruptedRunError, NonFiniteLossError, Trainer
from histsearch.workers.preparation import run_settings, split_images
from histsearch.workers.provenance import peak_memory_mib, provenance, reset_peak_memory

log = logging.getLogger(__name__)

# On the CPU torch reports a lack of memory as a RuntimeError that names its allocator.
_CPU_ALLOCATOR = "DefaultCPUAllocator"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: its state, its value when complete, its reason when not."""

    state: TrialState
    value: float | None = None
    reason: str | None = None

    def __str__(self) -> str:
        if self.value is not None:
            return f"complete: R@1 {self.value:.2%}"
        return f"{self.state.name.lower()}: {self.reason}"


@dataclass(frozen=True)
class TrialRunner:
    """Runs trials on one device.

    Attributes:
        worker: Name of the worker, recorded on its trials.
        data_dir: Folder of the data sets, and of weights files that a space names.
        checkpoint_dir: Folder for retrained models.
        device: Where tensors live.
        loader_processes: Processes that decode images; 0 decodes in this one.
        should_stop: Asked between batches; true interrupts the run.
    """

    worker: str
    data_dir: Path
    checkpoint_dir: Path
    device: torch.device
    loader_processes: int
    should_stop: Callable[[], bool]

    def run(self, study: Study, trial: optuna.Trial, dataset: Dataset) -> Outcome:
        """Train the trial and record what it shows.

        Raises:
            InterruptedRunError: ``should_stop`` turned true; the trial is still running.
            StorageError: the database is gone; the trial is still running.
            DataError: an image can't be read here; the trial is still running.
            WeightsError: the weights can't be read here; the trial is still running.
        """
        started = time.perf_counter()
        reset_peak_memory(self.device)
        run = _RetrainRun if study.definition.kind == "retrain" else _SearchRun
        _record(trial, {trial_record.WORKER: self.worker, **provenance(self.device)})
        try:
            outcome = run(self, study, trial, dataset).to_its_end()
        except NonFiniteLossError as error:
            outcome = Outcome(TrialState.PRUNED, reason=str(error))
        except (torch.OutOfMemoryError, MemoryError):
            outcome = Outcome(TrialState.FAIL, reason=self._out_of_memory(study, trial))
        except RuntimeError as error:
            if _CPU_ALLOCATOR not in str(error):
                raise
            outcome = Outcome(TrialState.FAIL, reason=self._out_of_memory(study, trial))
        except InterruptedRunError:
            _record(trial, {trial_record.SECONDS: self._seconds(trial, started)})
            raise
        except (StorageError, DataError, WeightsError):
            raise  # says nothing about the trial
        except HistsearchError as error:
            outcome = Outcome(TrialState.FAIL, reason=str(error))
        _record(
            trial,
            {
                trial_record.SECONDS: self._seconds(trial, started),
                trial_record.PEAK_MEMORY_MIB: peak_memory_mib(self.device),
                **({trial_record.REASON: outcome.reason} if outcome.reason else {}),
            },
        )
        return outcome

    def _seconds(self, trial: optuna.Trial, started: float) -> float:
        """Time of this run and of those of the same trial that were interrupted."""
        before = float(trial.user_attrs.get(trial_record.SECONDS, 0))
        return round(before + time.perf_counter() - started, 3)

    def _out_of_memory(self, study: Study, trial: optuna.Trial) -> str:
        configuration = _configuration(study, trial)
        batch_size = study.definition.space.hyperparameters(configuration).batch_size
        used = peak_memory_mib(self.device)
        total = ""
        if self.device.type == "cuda":
            total = f" of {torch.cuda.get_device_properties(self.device).total_memory // 2**20}"
            torch.cuda.empty_cache()
        return f"out of memory at batch size {batch_size}: {used}{total} MiB were in use"


def _record(trial: optuna.Trial, attributes: dict[str, object]) -> None:
    for name, value in attributes.items():
        trial.set_user_attr(name, value)


def _configuration(study: Study, trial: optuna.Trial) -> dict[str, Value]:
    """The trial's hyperparameters; a retraining's seed isn't one."""
    return {name: trial.params[name] for name in study.definition.space.search}


class _Run(ABC):
    """What the runs of a search and of a retraining have in common."""

    def __init__(
        self, runner: TrialRunner, study: Study, trial: optuna.Trial, dataset: Dataset
    ) -> None:
        self.runner = runner
        self.study = study
        self.trial = trial
        self.dataset = dataset
        self.settings = run_settings(
            study.definition.space,
            _configuration(study, trial),
            runner.data_dir,
            seed=trial_seed(study, trial),
            epochs=trial.user_attrs.get(trial_record.EPOCHS),
        )
        self.finished: list[Epoch] = []

    @abstractmethod
    def outcome(self) -> Outcome:
        """Train, and say what came of it."""

    def to_its_end(self) -> Outcome:
        """Run until there is an outcome; checkpoints serve no more after it."""
        try:
            outcome = self.outcome()
        except (InterruptedRunError, StorageError, DataError, WeightsError):
            raise  # the trial will go on from them
        except Exception as error:
            # A loader process that is stopped along with this one breaks the loader.
            if isinstance(error, RuntimeError) and self.runner.should_stop():
                raise InterruptedRunError from error
            self.checkpoints.delete()
            raise
        self.checkpoints.delete()
        return outcome

    def trainer(self, images: ImageSet) -> Trainer:
        return Trainer(
            self.settings,
            images,
            device=self.runner.device,
            loader_processes=self.runner.loader_processes,
            should_stop=self.runner.should_stop,
        )

    @cached_property
    def checkpoints(self) -> RunCheckpoints:
        """The run's state on disk, which belongs to these settings, images and software."""
        definition = self.study.definition
        made_with = provenance(self.runner.device)
        return RunCheckpoints(
            self.runner.checkpoint_dir / self.study.name / f"{self.trial.number}.run",
            identity=repr(
                (
                    self.settings,
                    definition.kind,
                    definition.space.protocol,
                    self.dataset.fingerprint(),
                    made_with[trial_record.DEVICE],
                    made_with[trial_record.VERSIONS],
                    made_with[trial_record.COMMIT],
                    torch.get_num_threads(),
                )
            ),
        )

    def resume(self, trainer: Trainer) -> None:
        """Go on from the checkpoint of an earlier start of this trial, where there is one."""
        state = self.checkpoints.load()
        reached = state["trainer"]["finished_epochs"] if state else 0
        forget_steps_after(self.study, self.trial, reached)
        if state is None:
            return
        trainer.load_state_dict(state["trainer"])
        self.finished = [Epoch(**epoch) for epoch in state["epochs"]]
        log.info(
            "%s #%d  resumed after epoch %d",
            self.study.name,
            self.trial.number,
            trainer.finished_epochs,
        )

    def save(self, trainer: Trainer) -> None:
        """Keep the state after an epoch."""
        epochs = [asdict(epoch) for epoch in self.finished]
        self.checkpoints.save({"trainer": trainer.state_dict(), "epochs": epochs})

    def note(self, trainer: Trainer, epoch: Epoch) -> None:
        """Log an epoch and record the times so far, so that an interrupted trial shows them."""
        self.finished.append(epoch)
        quality = "" if epoch.recall_at_1 is None else f"R@1 {epoch.recall_at_1:6.2%}  "
        log.info(
            "%s #%d  epoch %d/%d  %sloss %.3f  %.1f s",
            self.study.name,
            self.trial.number,
            epoch.number,
            self.settings.epochs,
            quality,
            epoch.loss,
            epoch.seconds,
        )
        seconds = [round(epoch.seconds, 4) for epoch in self.finished]
        throughput = sum(epoch.images_per_second for epoch in self.finished) / len(self.finished)
        self.trial.set_user_attr(trial_record.WARMUP_SECONDS, round(trainer.warmup_seconds, 4))
        self.trial.set_user_attr(trial_record.EPOCH_SECONDS, seconds)
        self.trial.set_user_attr(trial_record.IMAGES_PER_SECOND, round(throughput, 1))


class _SearchRun(_Run):
    """Trains on part of the training classes, validates each epoch, and may be pruned."""

    def outcome(self) -> Outcome:
        self.trial.set_user_attr(trial_record.SEED, self.settings.seed)
        protocol = self.study.definition.space.protocol
        train, validation, gallery = split_images(self.dataset, protocol)
        trainer = self.trainer(train)
        self.resume(trainer)
        for epoch in trainer.epochs(validation, gallery):
            self.note(trainer, epoch)
            self._report(epoch.number)
            if epoch.number < self.settings.epochs and self._is_hopeless():
                return Outcome(
                    TrialState.PRUNED,
                    reason=f"R@1 {self._best:.2%} after epoch {epoch.number} is under the median",
                )
            self.save(trainer)
        return Outcome(TrialState.COMPLETE, value=self._best)

    @property
    def _curve(self) -> dict[int, float]:
        """R@1 after each finished epoch."""
        return {epoch.number: epoch.recall_at_1 or 0.0 for epoch in self.finished}

    @property
    def _best(self) -> float:
        return max(self._curve.values())

    # A trial that was given back has reported steps before. Optuna's Trial would keep their old
    # values, and judge it by steps that this run hasn't reached: hence the storage directly.

    def _report(self, step: int) -> None:
        curve = self._curve
        self.study.storage.optuna.set_trial_intermediate_value(
            self.trial._trial_id, step, curve[step]
        )
        # max() takes the first of equals.
        self.trial.set_user_attr(trial_record.BEST_EPOCH, max(curve, key=lambda e: curve[e]))

    def _is_hopeless(self) -> bool:
        frozen = copy.copy(self.study.storage.optuna.get_trial(self.trial._trial_id))
        frozen.intermediate_values = self._curve
        return self.study.optuna_study.pruner.prune(self.study.optuna_study, frozen)


class _RetrainRun(_Run):
    """Trains on the full training half and touches the test classes once, at the end."""

    def outcome(self) -> Outcome:
        trainer = self.trainer(self.dataset.train)
        self.resume(trainer)
        for epoch in trainer.epochs():
            self.note(trainer, epoch)
            self.save(trainer)
        ks = recall_ks(self.study.definition.space.dataset)
        recall = trainer.recall(self.dataset.test, ks, self.dataset.gallery)
        self.trial.set_user_attr(
            trial_record.RECALL, {str(k): value for k, value in recall.items()}
        )
        self._keep(trainer)
        return Outcome(TrialState.COMPLETE, value=recall[1])

    def _keep(self, trainer: Trainer) -> None:
        """Save the trained model on this machine, for evaluation and export."""
        path = self.runner.checkpoint_dir / self.study.name / f"{self.trial.number}.pt"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_checkpoint(
                path,
                trainer.network,
                backbone=self.settings.backbone,
                embedding_size=self.settings.hyperparameters.embedding_size,
                extra={
                    "study": self.study.name,
                    "trial": self.trial.number,
                    "dataset": self.study.definition.space.dataset,
                    "epochs": self.settings.epochs,
                    "seed": self.settings.seed,
                    "hyperparameters": self.settings.hyperparameters.model_dump(),
                },
            )
        except (OSError, WeightsError) as error:
            # The figures are in the database; the model is all that is lost.
            log.warning("the model %s can't be kept (%s)", path, error)
            return
        self.trial.set_user_attr(trial_record.CHECKPOINT, str(path.absolute()))
