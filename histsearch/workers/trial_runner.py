"""Runs trials on one device, each by its study's kind of run."""

import gc
import logging
from dataclasses import replace

import torch
from optuna.trial import TrialState

from histsearch.exceptions import (
    CheckpointError,
    DataError,
    HistsearchError,
    StorageError,
    WeightsError,
)
from histsearch.studies import trial_record
from histsearch.studies.claim import Claim
from histsearch.training.images_on_device import NoRoomError
from histsearch.training.run_inputs import RunInputs
from histsearch.training.trainer import InterruptedRunError, NonFiniteLossError
from histsearch.workers.device_fault import is_device_fault
from histsearch.workers.missing_resources import Lack, find_lack
from histsearch.workers.outcome import Outcome
from histsearch.workers.provenance import peak_memory_mib, reset_peak_memory
from histsearch.workers.retraining_run import RetrainingRun
from histsearch.workers.run import Run, run_checkpoints
from histsearch.workers.run_context import RunContext
from histsearch.workers.search_run import SearchRun

log = logging.getLogger(__name__)

# Users search for the usual words.
_PLAIN_WORDS = {Lack.GPU_MEMORY: "memory"}

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


class TrialRunner:
    """Runs trials on one device."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def run(self, claim: Claim, inputs: RunInputs) -> Outcome:
        """Train the trial and report what it shows, all but the outcome and what goes with it.

        Raises:
            InterruptedRunError: The worker or its reporter asked for it; the state is saved.
            DataError: An image can't be read here.
            WeightsError: The weights can't be read here.
            StoreFullError: There is no room for the run's state.
            CheckpointError: The states of earlier attempts can't be reached.
            RunShortOfError: This machine has too little memory, say.
        """
        context = self._context
        reset_peak_memory(context.device)
        try:
            with context.watch.watching("training"):
                outcome = self._outcome(claim, inputs)
        except NonFiniteLossError as error:
            diverged = {trial_record.DIVERGED: True}
            outcome = Outcome(TrialState.PRUNED, reason=str(error), attributes=diverged)
        except (RuntimeError, OSError, MemoryError) as error:
            lack = None if is_device_fault(error) else find_lack(error)
            if lack is None:
                raise
            raise RunShortOfError(lack, self._out_of(lack, claim)) from error
        except LEFT_TO_GO_ON:
            raise
        except HistsearchError as error:
            outcome = Outcome(TrialState.FAIL, reason=str(error))
        if outcome.paused or not outcome.reason:
            return outcome
        attributes = {**outcome.attributes, trial_record.REASON: outcome.reason}
        return replace(outcome, attributes=attributes)

    def _outcome(self, claim: Claim, inputs: RunInputs) -> Outcome:
        """What a run comes to, without images on the device where these leave it too little memory.

        They have no room at all where the run began with them on a larger device, say.
        """
        run = self._run_of(claim, inputs)
        try:
            return run.to_its_end()
        except (RuntimeError, NoRoomError) as error:
            if not self._can_do_without_images(error):
                raise
            verb = "begins anew" if run.crops_on_device else "goes on"
            log.warning("%s  %s without the images on the device: %s", claim.label, verb, error)
        self.free_memory()
        run.leave_device()
        return run.to_its_end()

    def _can_do_without_images(self, error: Exception) -> bool:
        """Whether a run that failed may succeed without images on the device, which it then frees.

        They stay where they must.
        """
        if isinstance(error, NoRoomError):
            return True
        return find_lack(error) is Lack.GPU_MEMORY and self._context.on_device.give_up()

    def _run_of(self, claim: Claim, inputs: RunInputs) -> Run:
        context, definition = self._context, claim.study.definition
        started = context.clock()
        if definition.source is None:
            return SearchRun(context, claim, inputs, started, definition)
        return RetrainingRun(context, claim, inputs, started)

    def forget(self, claim: Claim) -> None:
        """Remove the saved states of a trial that is over."""
        with self._context.watch.long_step("removing its states"):
            run_checkpoints(self._context, claim, identity="").delete()

    def free_memory(self) -> None:
        """Free what a run that failed has left behind, once its error is forgotten."""
        gc.collect()
        if self._context.device.type == "cuda":
            torch.cuda.empty_cache()

    def _out_of(self, lack: Lack, claim: Claim) -> str:
        device = self._context.device
        values = claim.study.definition.space.complete(claim.configuration).training
        pixels = "" if values.image_size is None else f" and {values.image_size} pixels"
        used = peak_memory_mib(device)
        total = ""
        if device.type == "cuda":
            total = f" of {torch.cuda.get_device_properties(device).total_memory // 2**20}"
        return (
            f"out of {_PLAIN_WORDS.get(lack, lack.value)} at batch size "
            f"{values.batch_size}{pixels}: {used}{total} MiB were in use"
        )
