"""A run: one attempt at a trial, from its configuration to its outcome."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property, partial
from typing import Any

import torch

from histsearch.data.image_set import ImageSet
from histsearch.exceptions import CheckpointError
from histsearch.models.known_backbones import backbone_provider
from histsearch.studies import trial_record
from histsearch.studies.claim import Claim
from histsearch.studies.hours import seconds_taken
from histsearch.studies.store_keys import states_key
from histsearch.training.progress_display import Phase
from histsearch.training.run_inputs import RunInputs, building_phase, run_settings
from histsearch.training.run_states import RunStates
from histsearch.training.state_check import UnfitStateError, check_form
from histsearch.training.state_writer import StateWriter
from histsearch.training.trainer import Epoch, InterruptedRunError, Trainer
from histsearch.workers import metrics
from histsearch.workers.outcome import Outcome
from histsearch.workers.provenance import peak_memory_mib, provenance
from histsearch.workers.registry import Activity
from histsearch.workers.run_context import RunContext
from histsearch.workers.slots import Pace

log = logging.getLogger(__name__)

VERDICT_SECONDS = 5.0
"""How long a run waits for its last reports; it goes on while the database is slow or away."""

_STORE_PAUSES = (1.0, 5.0, 20.0)
_GLANCE_SECONDS = 0.1


def run_checkpoints(context: RunContext, claim: Claim, identity: str) -> RunStates:
    """The saved states of a trial, of which this attempt writes its own."""
    run = states_key(claim.study, claim.trial.number)
    return RunStates(context.checkpoints, run, claim.attempt, identity)


class Run(ABC):
    """One attempt at a trial; `to_its_end` begins it.

    Args:
        context: What it shares with the worker's other runs.
        claim: The worker's hold on the attempt.
        inputs: What it shares with the study's other runs.
        started: When it began, by the context's clock.

    Attributes:
        crops_on_device: Whether its images lay on the device as it ended.
    """

    any_epoch = Epoch(number=1, loss=0.0, score=None, seconds=0.0, images_per_second=0.0)

    def __init__(
        self, context: RunContext, claim: Claim, inputs: RunInputs, started: float
    ) -> None:
        self.context = context
        self.claim = claim
        self.study = claim.study
        self.dataset = inputs.dataset
        self.settings = run_settings(
            self.study.definition.space,
            claim.configuration,
            inputs.parts,
            seed=claim.seed,
            epochs=claim.trial.user_attrs.get(trial_record.EPOCHS),
        )
        self.finished: list[Epoch] = []
        self.started = started
        self.crops_on_device = False
        self._goes_on = claim.attempt > 1
        self._handed_over: tuple[int, int, int] | None = None
        # Of the attempts before this one.
        self.seconds_before = sum(seconds_taken([claim.trial]))

    @abstractmethod
    def outcome(self, trainer: Trainer) -> Outcome:
        """Train, and say what came of it."""

    @abstractmethod
    def training_images(self) -> ImageSet:
        """The images to train on."""

    def facts(self) -> dict[str, Any]:
        """What is known of the trial before it runs, besides its parameters."""
        return {
            trial_record.WORKER: self.context.settings.identity.name,
            trial_record.WEIGHTS: self.settings.weights,
            **self.made_with(),
        }

    @property
    def objective(self) -> str:
        """Label of the metric that is maximised."""
        return self.settings.objective.label

    def made_with(self) -> dict[str, Any]:
        """The device and the software of this attempt."""
        definition = self.study.definition
        # That of the backbone is missing where the study was created without it.
        provider = backbone_provider(definition.space.backbone)
        packages = (*definition.packages, *([] if provider is None else [provider.package]))
        return provenance(self.context.device, tuple(dict.fromkeys(packages)))

    def to_its_end(self) -> Outcome:
        """Run until there is an outcome; an interrupted run is saved where it stands."""
        watched = partial(self.context.saving_watch.long_step, "saving its state")
        self._writer = StateWriter(self.checkpoints, watched)
        self.record(self.facts())
        self.show(None, "building the network")
        trainer = self._build()
        self.resume(trainer)
        self.show(self.finished[-1] if self.finished else None)
        outcome: Outcome | None = None
        try:
            outcome = self.outcome(trainer)
            self.settle()  # as the outcome may not be told at once
        except InterruptedRunError:
            if not self.context.reporter.lost:
                self.keep(trainer)
            raise
        except RuntimeError as error:
            # A loader process that is stopped along with this one breaks the loader, at any
            # moment, so the state of now isn't one to go on from.
            if self._is_asked_to_stop():
                raise InterruptedRunError from error
            raise
        finally:
            self.crops_on_device = trainer.crops_on_device
            expense = self.expense()
            if outcome is None:
                self.record(expense)
            with self.context.watch.long_step("saving its state"):
                self._writer.close()
        return replace(outcome, attributes=expense)

    def leave_device(self) -> None:
        """Be ready to run again in the same attempt, without images on the device.

        The time so far stays charged. A run goes on the way it began; so one that had its images
        there begins anew, and its saved states are removed.
        """
        if self.crops_on_device:
            with self.context.watch.long_step("removing its states"):
                self.checkpoints.begin_anew()
        self._goes_on = not self.crops_on_device
        self.finished = []
        self._handed_over = None

    def _build(self) -> Trainer:
        self.begin(building_phase(self.settings))
        with self.context.watch.long_step("building the network"):
            return Trainer(
                self.settings,
                self.training_images(),
                device=self.context.device,
                loader_processes=self.context.settings.loader_processes,
                on_device=self.context.on_device,
                should_stop=self.should_stop,
                on_warmup_epoch=self.save,
                on_progress=self._note_step,
                on_phase=self.begin,
                clock=self.context.clock,
            )

    def _note_step(self) -> None:
        self.context.watch.progress()
        self.context.settings.display.step()

    def step(self) -> None:
        """Note a step that isn't a training batch.

        Raises:
            InterruptedRunError: The run is to be interrupted.
        """
        self._note_step()
        if self.should_stop():
            raise InterruptedRunError

    def begin(self, phase: Phase) -> None:
        """Show a part of the run's work, which begins."""
        self.context.settings.display.begin(replace(phase, label=self.claim.label))

    def should_stop(self) -> bool:
        """Whether the run is to be interrupted, also where its states can't be saved any more."""
        return self._is_asked_to_stop() or self._writer.has_failed

    def _is_asked_to_stop(self) -> bool:
        return self.context.should_stop() or self.context.reporter.should_stop()

    @cached_property
    def checkpoints(self) -> RunStates:
        """The run's saved states, which belong to these settings, images and software."""
        definition = self.study.definition
        made_with = self.made_with()
        return run_checkpoints(
            self.context,
            self.claim,
            identity=repr(
                (
                    self.settings,
                    definition.kind,
                    definition.space.protocol,
                    self.claim.fold,
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
        state = self.saved_state(trainer) if self._goes_on else None
        if state is not None:
            trainer.load_state_dict(state["trainer"])
            self.finished = [Epoch(**epoch) for epoch in state["epochs"]]
            self.log(f"resumed after {_reached(trainer)}", "resumed")
        reached = trainer.finished_epochs
        self.context.reporter.report(lambda: self.claim.start(reached))
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
                self.wait(pause)
        return self._load(trainer)

    def _load(self, trainer: Trainer) -> dict[str, Any] | None:
        with self.context.watch.long_step("loading its state"):
            return self.checkpoints.load(partial(_check_state, trainer, self.any_epoch))

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than the run makes sense.

        Raises:
            InterruptedRunError: It makes none any more.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.should_stop():
                raise InterruptedRunError
            time.sleep(_GLANCE_SECONDS)

    def save(self, trainer: Trainer) -> None:
        """Have the state of now written, unless that was asked before.

        Raises:
            StoreFullError: There was no room for an earlier one.
            NonFiniteLossError: It holds what isn't finite.
        """
        if self._handed_over == trainer.position:
            return
        epochs = [asdict(epoch) for epoch in self.finished]
        with self.context.watch.long_step("copying its state"):
            self._writer.save({"trainer": trainer.state_dict(), "epochs": epochs})
        self._handed_over = trainer.position

    def settle(self) -> bool:
        """Wait until the state that was handed over last is durable; whether it could be written.

        Raises:
            StoreFullError: There is no room for it.
        """
        self.begin(Phase("saving its state"))
        with self.context.watch.long_step("saving its state"):
            return self._writer.settle()

    def keep(self, trainer: Trainer) -> bool:
        """Have the state of now durable; whether that could be done. Raises as the two do."""
        self.save(trainer)
        return self.settle()

    def note(self, trainer: Trainer, epoch: Epoch) -> None:
        """Take in an epoch: log it, show it, report it, save the state after it."""
        share = self.context.settings.identity.share
        # By the clock of what is charged, on which a slot of N seems N times as fast as it is.
        epoch = replace(epoch, images_per_second=epoch.images_per_second * share)
        self.finished.append(epoch)
        seen = replace(epoch, seconds=epoch.seconds / share)
        quality = "" if epoch.score is None else f"{self.objective} {epoch.score:6.2%}  "
        self.log(
            f"epoch {epoch.number}/{self.settings.epochs}  {quality}loss {epoch.loss:.3f}  "
            f"{seen.seconds:.1f} s  {seen.images_per_second:.0f} images/s  "
            f"{peak_memory_mib(self.context.device)} MiB",
            "epoch",
            **asdict(seen),
        )
        self.context.on_epoch(self.study)
        metrics.EPOCHS.labels(self.study.name).inc()
        metrics.EPOCH_SECONDS.labels(self.study.name).inc(seen.seconds)
        metrics.IMAGES_PER_SECOND.set(epoch.images_per_second)
        self.show(epoch)
        if self.context.settings.slot is not None:
            memory_mib = peak_memory_mib(self.context.device)
            self.context.settings.slot.tell(Pace(epoch.images_per_second, memory_mib))
        self.record(self.progress(trainer), self.curve_of([epoch]))
        if epoch.number % self.context.settings.checkpoint_every == 0 or self.is_last(epoch):
            self.save(trainer)

    def is_last(self, epoch: Epoch) -> bool:
        """Whether no epoch follows."""
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
        seconds = self.seconds_before + self.context.clock() - self.started
        return {
            trial_record.SECONDS: round(seconds, 3),
            trial_record.PEAK_MEMORY_MIB: peak_memory_mib(self.context.device),
        }

    def curve(self) -> dict[int, float]:
        """The validation score after each finished epoch."""
        return self.curve_of(self.finished)

    def curve_of(self, epochs: list[Epoch]) -> dict[int, float]:
        """The validation score after each of some epochs."""
        return {epoch.number: epoch.score for epoch in epochs if epoch.score is not None}

    def record(self, attributes: dict[str, Any], values: dict[int, float] | None = None) -> None:
        """Report attributes of the trial, and intermediate values."""
        self.context.reporter.report(lambda: self.claim.record(attributes, values))

    def show(self, epoch: Epoch | None, doing: str = "training") -> None:
        """Let the worker's heartbeats say what is done for the trial, and how far it is."""
        self.context.reporter.show(
            Activity(
                doing,
                study=self.study.name,
                trial=self.claim.trial.number,
                epoch=epoch.number if epoch else 0,
                epochs=self.settings.epochs,
                images_per_second=epoch.images_per_second if epoch else None,
                memory_mib=peak_memory_mib(self.context.device),
            )
        )

    def log(self, text: str, event: str, **fields: Any) -> None:
        """Write a line about the run, ``fields`` being those of an epoch."""
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
