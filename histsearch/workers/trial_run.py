"""One trial, from its claimed parameters to its outcome."""

import copy
import gc
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from numpy.linalg import LinAlgError
from optuna.trial import TrialState

from histsearch.data.image_set import ImageSet
from histsearch.exceptions import (
    CheckpointError,
    DataError,
    HistsearchError,
    StorageError,
    StoreFullError,
    WeightsError,
)
from histsearch.models.checkpoint import dump_checkpoint
from histsearch.retrieval.known_metrics import recall_at
from histsearch.space.configuration import Value
from histsearch.studies import trial_record
from histsearch.studies.claim import Claim, ClaimLostError
from histsearch.studies.definition import SearchDefinition
from histsearch.studies.queue import goes_straight_on
from histsearch.studies.store_keys import model_key, states_key
from histsearch.studies.study import Study
from histsearch.studies.study_end import is_needless
from histsearch.training.checkpoint_store import CheckpointStore
from histsearch.training.run_inputs import RunInputs, run_settings, split_images
from histsearch.training.run_states import RunStates
from histsearch.training.state_check import UnfitStateError, check_form
from histsearch.training.trainer import Epoch, InterruptedRunError, NonFiniteLossError, Trainer
from histsearch.workers import metrics
from histsearch.workers.device_fault import is_device_fault
from histsearch.workers.missing_resources import Lack, find_lack
from histsearch.workers.progress_watch import ProgressWatch
from histsearch.workers.provenance import peak_memory_mib, provenance, reset_peak_memory
from histsearch.workers.registry import Activity
from histsearch.workers.reporter import Reporter

log = logging.getLogger(__name__)

# After an epoch the pruner's word is awaited this long; training goes on without it while the
# database is slow or away.
_VERDICT_SECONDS = 5.0

# Users search for the usual words.
_PLAIN_WORDS = {Lack.GPU_MEMORY: "memory"}

_STORE_PAUSES = (1.0, 5.0, 20.0)
_GLANCE_SECONDS = 0.1

LEFT_TO_GO_ON = (InterruptedRunError, StorageError, DataError, WeightsError, CheckpointError)
"""What ends a run without saying anything about its trial, which will go on elsewhere or later."""


class RunShortOfError(Exception):
    """A run ended for want of something that this machine has too little of.

    Attributes:
        lack: What it is.
    """

    def __init__(self, lack: Lack, reason: str) -> None:
        super().__init__(reason)
        self.lack = lack


def _ignore(_: Study) -> None:
    return None


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: its state, its value when complete, its reason when not.

    A trial that is paused is back in the queue (`TrialState.WAITING`). The objective is the label
    of the metric that its value is of.
    """

    state: TrialState
    value: float | None = None
    reason: str | None = None
    objective: str = ""

    @property
    def paused(self) -> bool:
        """Whether the trial may go on later."""
        return self.state == TrialState.WAITING

    def __str__(self) -> str:
        if self.paused:
            return f"paused: {self.reason}"
        if self.value is not None:
            return f"complete: {self.objective} {self.value:.2%}"
        return f"{self.state.name.lower()}: {self.reason}"


@dataclass(frozen=True)
class TrialRunner:
    """Runs trials on one device.

    Attributes:
        worker: Name of the worker, recorded on its trials.
        reporter: Its line to the database.
        checkpoints: Where runs are saved, and retrained models.
        checkpoint_every: Epochs from one saved state to the next.
        device: Where tensors live.
        loader_processes: Processes that decode images; 0 decodes in this one.
        should_stop: Asked between batches; true interrupts the run.
        clock: Gives the seconds that trials are charged for.
        watch: Told of every step of a run.
        on_epoch: Called with the study of each epoch that was trained.
    """

    worker: str
    reporter: Reporter
    checkpoints: CheckpointStore
    checkpoint_every: int
    device: torch.device
    loader_processes: int
    should_stop: Callable[[], bool]
    clock: Callable[[], float] = time.perf_counter
    watch: ProgressWatch = field(default_factory=ProgressWatch)
    on_epoch: Callable[[Study], object] = _ignore

    def run(self, claim: Claim, inputs: RunInputs) -> Outcome:
        """Train the trial and report what it shows, all but the outcome itself.

        Raises:
            InterruptedRunError: ``should_stop`` or the reporter asked for it; the state is saved.
            DataError: An image can't be read here.
            WeightsError: The weights can't be read here.
            StoreFullError: There is no room for the run's state.
            CheckpointError: The states of earlier attempts can't be reached.
            RunShortOfError: This machine has too little memory, say.
        """
        reset_peak_memory(self.device)
        try:
            with self.watch.watching("training"):
                outcome = self._begin(claim, inputs).to_its_end()
        except NonFiniteLossError as error:
            self.reporter.report(lambda: claim.record({trial_record.DIVERGED: True}))
            outcome = Outcome(TrialState.PRUNED, reason=str(error))
        except (RuntimeError, OSError, MemoryError) as error:
            lack = None if is_device_fault(error) else find_lack(error)
            if lack is None:
                raise
            raise RunShortOfError(lack, self._out_of(lack, claim)) from error
        except LEFT_TO_GO_ON:
            raise
        except HistsearchError as error:
            outcome = Outcome(TrialState.FAIL, reason=str(error))
        if outcome.reason and not outcome.paused:
            attributes = {trial_record.REASON: outcome.reason}
            self.reporter.report(lambda: claim.record(attributes))
        return outcome

    def _begin(self, claim: Claim, inputs: RunInputs) -> "_Run":
        definition = claim.study.definition
        if definition.source is None:
            return _SearchRun(self, claim, inputs, definition)
        return _RetrainRun(self, claim, inputs)

    def forget(self, claim: Claim) -> None:
        """Remove the saved states of a trial that is over."""
        with self.watch.long_step("removing its states"):
            _run_states(self, claim, identity="").delete()

    def free_memory(self) -> None:
        """Free what a run that failed has left behind, once its error is forgotten."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _out_of(self, lack: Lack, claim: Claim) -> str:
        space = claim.study.definition.space
        batch_size = space.complete(_configuration(claim)).training.batch_size
        used = peak_memory_mib(self.device)
        total = ""
        if self.device.type == "cuda":
            total = f" of {torch.cuda.get_device_properties(self.device).total_memory // 2**20}"
        return f"out of {_PLAIN_WORDS.get(lack, lack.value)} at batch size {batch_size}: " + (
            f"{used}{total} MiB were in use"
        )


def _configuration(claim: Claim) -> dict[str, Value]:
    """The trial's parameters; a retraining's seed isn't one."""
    return {name: claim.trial.params[name] for name in claim.study.definition.space.search}


def _reached(trainer: Trainer) -> str:
    """How far a run is, in words."""
    done = f"epoch {trainer.finished_epochs}"
    if trainer.finished_epochs == 0:
        done = f"warm-up epoch {trainer.finished_warmup_epochs}"
    return done + (f", batch {trainer.finished_batches}" if trainer.finished_batches else "")


def _check_state(trainer: Trainer, epoch: Epoch, state: object) -> None:
    """Make sure that a run can go on from a saved state.

    Args:
        trainer: A trainer of the run.
        epoch: An epoch of such a run.
        state: What was saved.

    Raises:
        UnfitStateError: It is none of such a run.
    """
    if not isinstance(state, Mapping) or state.keys() != {"trainer", "epochs"}:
        raise UnfitStateError("it lacks the trainer or its epochs")
    trainer.check_state_dict(state["trainer"])
    finished = state["trainer"]["finished_epochs"]
    check_form(state["epochs"], [asdict(epoch)] * finished, "its epochs")
    if [one["number"] for one in state["epochs"]] != list(range(1, finished + 1)):
        raise UnfitStateError("its epochs are numbered otherwise")


def _run_states(runner: TrialRunner, claim: Claim, identity: str) -> RunStates:
    run = states_key(claim.study, claim.trial.number)
    return RunStates(runner.checkpoints, run, claim.attempt, identity)


class _Run(ABC):
    """What the runs of a search and of a retraining have in common."""

    any_epoch = Epoch(number=1, loss=0.0, score=None, seconds=0.0, images_per_second=0.0)

    def __init__(self, runner: TrialRunner, claim: Claim, inputs: RunInputs) -> None:
        self.runner = runner
        self.claim = claim
        self.study = claim.study
        self.dataset = inputs.dataset
        self.settings = run_settings(
            self.study.definition.space,
            _configuration(claim),
            inputs.parts,
            seed=claim.seed,
            epochs=claim.trial.user_attrs.get(trial_record.EPOCHS),
        )
        self.finished: list[Epoch] = []
        self.started = runner.clock()
        # Of the attempts before this one.
        self.seconds_before = float(claim.trial.user_attrs.get(trial_record.SECONDS, 0))
        self.record(
            {trial_record.WORKER: runner.worker, **provenance(runner.device), **self.facts()}
        )
        self.show(None)

    @abstractmethod
    def outcome(self, trainer: Trainer) -> Outcome:
        """Train, and say what came of it."""

    @abstractmethod
    def training_images(self) -> ImageSet:
        """The images to train on."""

    def facts(self) -> dict[str, Any]:
        """What is known of the trial before it runs, besides its parameters."""
        return {}

    @property
    def objective(self) -> str:
        """Label of the metric that is maximised."""
        return self.settings.objective.label

    def to_its_end(self) -> Outcome:
        """Run until there is an outcome; an interrupted run is saved where it stands."""
        with self.runner.watch.long_step("building the network"):
            trainer = Trainer(
                self.settings,
                self.training_images(),
                device=self.runner.device,
                loader_processes=self.runner.loader_processes,
                should_stop=self.should_stop,
                on_warmup_epoch=lambda: self.save(trainer),
                on_progress=self.runner.watch.progress,
                clock=self.runner.clock,
            )
        self.resume(trainer)
        try:
            return self.outcome(trainer)
        except InterruptedRunError:
            if not self.runner.reporter.lost:
                self.save(trainer)
            raise
        except RuntimeError as error:
            # A loader process that is stopped along with this one breaks the loader, at any
            # moment, so the state of now isn't one to go on from.
            if self.should_stop():
                raise InterruptedRunError from error
            raise
        finally:
            self.record(self.expense())

    def should_stop(self) -> bool:
        return self.runner.should_stop() or self.runner.reporter.should_stop()

    @cached_property
    def checkpoints(self) -> RunStates:
        """The run's saved states, which belong to these settings, images and software."""
        definition = self.study.definition
        made_with = provenance(self.runner.device)
        return _run_states(
            self.runner,
            self.claim,
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
        """Go on from the saved state of an earlier attempt, where there is one."""
        state = self.saved_state(trainer) if self.claim.attempt > 1 else None
        if state is not None:
            trainer.load_state_dict(state["trainer"])
            self.finished = [Epoch(**epoch) for epoch in state["epochs"]]
            self.log(f"resumed after {_reached(trainer)}", "resumed")
        reached = trainer.finished_epochs
        self.runner.reporter.report(lambda: self.claim.start(reached))
        if self.finished:
            # The attempt before may have ended with the last of its reports undelivered.
            self.record(self.progress(trainer), self.curve())

    def saved_state(self, trainer: Trainer) -> dict[str, Any] | None:
        """The state that a trainer can go on from; a store that doesn't answer is given some time.

        Raises:
            CheckpointError: It didn't.
        """
        for pause in _STORE_PAUSES:
            try:
                return self._load(trainer)
            except CheckpointError as error:
                log.warning("%s  %s Trying again in %g s.", self.claim.label, error, pause)
                self.pause(pause)
        return self._load(trainer)

    def _load(self, trainer: Trainer) -> dict[str, Any] | None:
        with self.runner.watch.long_step("loading its state"):
            return self.checkpoints.load(partial(_check_state, trainer, self.any_epoch))

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the run makes sense."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.should_stop():
                raise InterruptedRunError
            time.sleep(_GLANCE_SECONDS)

    def save(self, trainer: Trainer) -> bool:
        """Keep the state of now; whether that could be done."""
        epochs = [asdict(epoch) for epoch in self.finished]
        with self.runner.watch.long_step("saving its state"):
            return self.checkpoints.save({"trainer": trainer.state_dict(), "epochs": epochs})

    def note(self, trainer: Trainer, epoch: Epoch) -> None:
        """Take in an epoch: log it, show it, report it, save the state after it."""
        self.finished.append(epoch)
        quality = "" if epoch.score is None else f"{self.objective} {epoch.score:6.2%}  "
        self.log(
            f"epoch {epoch.number}/{self.settings.epochs}  {quality}loss {epoch.loss:.3f}  "
            f"{epoch.seconds:.1f} s",
            "epoch",
            **asdict(epoch),
        )
        self.runner.on_epoch(self.study)
        metrics.EPOCHS.labels(self.study.name).inc()
        metrics.EPOCH_SECONDS.labels(self.study.name).inc(epoch.seconds)
        metrics.IMAGES_PER_SECOND.set(epoch.images_per_second)
        self.show(epoch)
        self.record(self.progress(trainer), self.curve_of([epoch]))
        if epoch.number % self.runner.checkpoint_every == 0 or self.is_last(epoch):
            self.save(trainer)

    def is_last(self, epoch: Epoch) -> bool:
        return epoch.number == self.settings.epochs

    def progress(self, trainer: Trainer) -> dict[str, Any]:
        """Attributes that grow with the epochs, so that an unfinished trial shows them too."""
        seconds = [round(epoch.seconds, 4) for epoch in self.finished]
        throughput = sum(epoch.images_per_second for epoch in self.finished) / len(self.finished)
        return {
            trial_record.WARMUP_SECONDS: round(trainer.warmup_seconds, 4),
            trial_record.EPOCH_SECONDS: seconds,
            trial_record.IMAGES_PER_SECOND: round(throughput, 1),
            **self.expense(),
        }

    def expense(self) -> dict[str, Any]:
        """Time and memory so far; the time of earlier attempts counts."""
        seconds = self.seconds_before + self.runner.clock() - self.started
        return {
            trial_record.SECONDS: round(seconds, 3),
            trial_record.PEAK_MEMORY_MIB: peak_memory_mib(self.runner.device),
        }

    def curve(self) -> dict[int, float]:
        """Validation score after each finished epoch."""
        return self.curve_of(self.finished)

    def curve_of(self, epochs: list[Epoch]) -> dict[int, float]:
        return {epoch.number: epoch.score for epoch in epochs if epoch.score is not None}

    def record(self, attributes: dict[str, Any], values: dict[int, float] | None = None) -> None:
        """Report attributes of the trial, and intermediate values."""
        self.runner.reporter.report(lambda: self.claim.record(attributes, values))

    def show(self, epoch: Epoch | None) -> None:
        """Let the worker's heartbeats say how far the trial is."""
        self.runner.reporter.show(
            Activity(
                "training",
                study=self.study.name,
                trial=self.claim.trial.number,
                epoch=epoch.number if epoch else 0,
                epochs=self.settings.epochs,
                images_per_second=epoch.images_per_second if epoch else None,
                memory_mib=peak_memory_mib(self.runner.device),
            )
        )

    def log(self, text: str, event: str, **fields: Any) -> None:
        log.info(
            "%s  %s",
            self.claim.label,
            text,
            extra={
                "event": event,
                "study": self.study.name,
                "trial": self.claim.trial.number,
                "attempt": self.claim.attempt,
                **{f"epoch_{name}": value for name, value in fields.items()},
            },
        )


class _SearchRun(_Run):
    """Trains on part of the training classes, validates each epoch, and may be pruned."""

    any_epoch = replace(_Run.any_epoch, score=0.0)
    left_after: int | None = None
    study_paused = False

    def __init__(
        self, runner: TrialRunner, claim: Claim, inputs: RunInputs, definition: SearchDefinition
    ) -> None:
        self.space = definition.space
        super().__init__(runner, claim, inputs)

    def facts(self) -> dict[str, Any]:
        return {trial_record.SEED: self.settings.seed}

    @cached_property
    def split(self) -> tuple[ImageSet, ImageSet, ImageSet | None]:
        return split_images(self.dataset, self.space.protocol)

    def training_images(self) -> ImageSet:
        return self.split[0]

    def outcome(self, trainer: Trainer) -> Outcome:
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
            if not self.save(trainer):
                return None
            why = "the study was paused" if self.study_paused else "something else promises more"
            reason = f"after epoch {trainer.finished_epochs} {why}"
            return Outcome(
                TrialState.WAITING, reason="the study ended" if self.study.ended else reason
            )
        shortfall = f"is under {self.space.pruner.rule}"
        return Outcome(
            TrialState.PRUNED,
            reason=f"{self.objective} {self._best:.2%} after epoch {self.left_after} {shortfall}",
        )

    @property
    def _best(self) -> float:
        return max(self.curve().values())

    def note(self, trainer: Trainer, epoch: Epoch) -> None:
        super().note(trainer, epoch)
        assert epoch.score is not None
        metrics.VALIDATION_SCORE.labels(self.study.name, self.objective).set(epoch.score)

    def progress(self, trainer: Trainer) -> dict[str, Any]:
        curve = self.curve()
        # max() takes the first of equals.
        best_epoch = max(curve, key=lambda epoch: curve[epoch])
        return {**super().progress(trainer), trial_record.BEST_EPOCH: best_epoch}

    def _is_to_be_left(self) -> bool:
        curve = self.curve()
        self.runner.reporter.report(lambda: self._judge(curve))
        if not self.runner.reporter.is_away:
            self.runner.reporter.settle(_VERDICT_SECONDS)
        return self.left_after is not None

    def _judge(self, curve: dict[int, float]) -> None:
        if len(curve) < len(self.finished):
            return  # it was kept while the database was away, and a later one follows
        try:
            leave = self._is_due_to_leave(curve)
            self.study_paused = self.study.paused
        except KeyError:  # the study was deleted
            raise ClaimLostError from None
        except LinAlgError as error:
            log.warning("%s  no verdict of the pruner: %s", self.claim.label, error)
            return
        if leave:
            self.left_after = max(curve)

    def _is_due_to_leave(self, curve: dict[int, float]) -> bool:
        """Whether the trial is to be left, and wouldn't be this worker's next one all the same."""
        study = self.study
        # By the curve of this run: an earlier attempt may have stored steps beyond it.
        trial = copy.copy(study.storage.optuna.get_trial(self.claim.trial._trial_id))
        trial.intermediate_values = curve
        if study.pauses and is_needless(study, trial):
            return True
        leave = study.optuna_study.pruner.prune(study.optuna_study, trial)
        return leave and not (study.pauses and goes_straight_on(study, trial))


class _RetrainRun(_Run):
    """Trains on the full training half and touches the test classes once, at the end."""

    def training_images(self) -> ImageSet:
        return self.dataset.train

    def outcome(self, trainer: Trainer) -> Outcome:
        for epoch in trainer.epochs():
            self.note(trainer, epoch)
        objective = self.settings.objective
        recalls = {str(k): recall_at(k) for k in self.dataset.record.recall_ks}
        measured = trainer.measure(
            [objective, *recalls.values()], self.dataset.test, self.dataset.gallery
        )
        recall = {k: measured[metric.name] for k, metric in recalls.items()}
        self.record({trial_record.RECALL: recall})
        self._keep(trainer)
        value = measured[objective.name]
        return Outcome(TrialState.COMPLETE, value=value, objective=objective.label)

    def _keep(self, trainer: Trainer) -> None:
        """Save the trained model, for evaluation and export."""
        # A copy that woke up too late mustn't replace its successor's model.
        self.runner.reporter.settle(_VERDICT_SECONDS)
        if self.runner.reporter.lost:
            raise InterruptedRunError
        key = model_key(self.study, self.claim.trial.number)
        content = dump_checkpoint(
            trainer.network,
            backbone=self.settings.backbone,
            embedding_size=self.settings.configuration.training.embedding_size,
            loss_state=trainer.loss.state_dict(),
            extra={
                "study": self.study.name,
                "trial": self.claim.trial.number,
                "dataset": self.study.definition.space.dataset,
                "epochs": self.settings.epochs,
                "seed": self.settings.seed,
                "loss": self.settings.loss.name,
                "hyperparameters": self.settings.configuration.values(),
            },
        )
        try:
            with self.runner.watch.long_step("saving its model"):
                self.runner.checkpoints.write(key, content)
        except StoreFullError:
            raise
        except CheckpointError as error:
            # The figures are in the database; the model is all that is lost.
            log.warning("the model can't be kept: %s", error)
            return
        self.record({trial_record.CHECKPOINT: self.runner.checkpoints.place(key)})
