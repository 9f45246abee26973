"""One worker process for each slot of a device, started again when it fails."""

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from itertools import count
from types import FrameType

import psutil

from histsearch.exceptions import DeviceError
from histsearch.processes import end_with_parent
from histsearch.workers import exit_codes
from histsearch.workers.gpu import Gpu, used_memory_mib
from histsearch.workers.gpu_lock import hold_gpu
from histsearch.workers.slots import Slot, SlotPaces
from histsearch.workers.stop_request import STOP_SIGNALS

log = logging.getLogger(__name__)

# The pause before a new start doubles with each failure of the slot's worker.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
# With so many failures within the window a slot is out of service. One trial that brings them about
# has failed before that: the usual max_retries allows it four.
MOST_FAILURES = 5
FAILURE_WINDOW_SECONDS = 30 * 60.0

# A worker ends itself sooner, unless code that lets no other thread of Python run is stuck.
KILL_SECONDS = 9.0

# A stop signal that comes before a worker listens ends it there and then, Ctrl-C perhaps by way of
# an exception.
_STOPPED_AT_START = (*(-number for number in STOP_SIGNALS), 128 + signal.SIGINT)


def supervise(
    devices: Sequence[Gpu | None],
    slots: int,
    arguments: Callable[[int], Sequence[str]],
    environment: Mapping[str, str],
) -> int:
    """Run ``histsearch worker DEVICE ARGUMENTS`` on each slot of each device until all have ended.

    A worker that fails is started again, as a new process and after a pause; one that ends with a
    message for the user, or for a lack of something that its machine has too little of, is not, nor
    is one that was stopped with work left. A slot whose worker fails again and again is taken out
    of service. The other workers go on. Stop signals are handed on to the workers, and none is
    started after one; workers that haven't ended nine seconds after the first are killed. If this
    process dies, its workers are told to stop. A GPU is held for as long as one of them lives.

    Takes over the signals of this process; to be called from its main thread.

    Args:
        devices: GPUs, or None for the processor.
        slots: How many each has: one worker is kept running for each.
        arguments: Called with a worker's place among all of them, from 0 on: what it gets besides
            its device.
        environment: Added to this process's. The storage URL goes here and not on a command
            line, which every user of the machine can read.

    Returns:
        75 if a worker was stopped with work left, else 0 when every worker ended well, else the
        first exit code that says otherwise: 2 for a GPU that others hold, 69 for a slot out of
        service.

    Raises:
        DeviceError: Others hold all these GPUs.
    """
    held, codes = _hold(devices)
    signals = _Signals()
    supervised = [
        _Device(
            gpu,
            held[gpu],
            [arguments(first + slot) for slot in range(slots)],
            environment,
            shares_log=len(held) * slots > 1,
        )
        for first, gpu in zip(count(0, slots), devices)
        if gpu in held
    ]
    workers = [worker for device in supervised for worker in device.workers]
    stopping = False
    kill_at: float | None = None
    while True:
        for device in supervised:
            device.look_after(stopping=stopping)
        if all(worker.has_ended for worker in workers):
            return _exit_code_of([*codes, *(worker.exit_code for worker in workers)])
        if kill_at is not None and kill_at <= time.monotonic():
            kill_at = None
            for worker in workers:
                worker.kill()
        seconds = _seconds_until([kill_at, *(one.next_start for one in workers)])
        for number in signals.wait(seconds, [device.paces.reader for device in supervised]):
            if number in STOP_SIGNALS:
                if not stopping:
                    kill_at = time.monotonic() + KILL_SECONDS
                stopping = True
                for worker in workers:
                    worker.send_signal(number)


def _hold(devices: Sequence[Gpu | None]) -> tuple[dict[Gpu | None, FileIO | None], list[int]]:
    """The devices that are free with their locks, and an exit code for each that isn't.

    Raises:
        DeviceError: None is.
    """
    held: dict[Gpu | None, FileIO | None] = {}
    refusals: list[str] = []
    for gpu in devices:
        try:
            held[gpu] = None if gpu is None else hold_gpu(gpu)
        except DeviceError as error:
            refusals.append(str(error))
    if not held:
        raise DeviceError(*refusals)
    for refusal in refusals:
        log.error("%s", refusal)
    return held, [exit_codes.USER_ERROR] * len(refusals)


def _exit_code_of(codes: Sequence[int]) -> int:
    """What the supervisor of workers that ended with these codes ends with."""
    if exit_codes.WORK_LEFT in codes:
        return exit_codes.WORK_LEFT
    return next((code for code in codes if code), 0)


class _Signals:
    """The signals of this process, to be read in turn: none interrupts the start of a worker."""

    def __init__(self) -> None:
        # Open until the process ends, for signals that come late.
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGCHLD, *STOP_SIGNALS):
            signal.signal(number, _leave_to_the_pipe)

    def wait(self, seconds: float | None, others: Sequence[int]) -> bytes:
        """The numbers of the signals that have come.

        Args:
            seconds: How long to wait for one at most; None for no limit.
            others: Descriptors for which the wait ends too, once they can be read.
        """
        readable, _, _ = select.select([self._reader, *others], [], [], seconds)
        return os.read(self._reader, select.PIPE_BUF) if self._reader in readable else b""


def _leave_to_the_pipe(_number: int, _frame: FrameType | None) -> None:
    """A handler, without which Python doesn't write a signal's number to the pipe."""


@dataclass(frozen=True)
class _Failure:
    """When a worker failed, in seconds of the monotonic clock, and how."""

    time: float
    reason: str


class _Device:
    """A GPU, or the processor, with the workers on its slots.

    Attributes:
        paces: How they train.
        workers: The workers.
    """

    def __init__(
        self,
        gpu: Gpu | None,
        lock: FileIO | None,
        arguments: Sequence[Sequence[str]],
        environment: Mapping[str, str],
        *,
        shares_log: bool,
    ) -> None:
        self._gpu = gpu
        self._lock = lock
        self.paces = SlotPaces(len(arguments))
        descriptor = None if lock is None else lock.fileno()
        self.workers = [
            _SlotWorker(
                gpu,
                Slot(number, len(arguments), self.paces.reports, descriptor, shares_log),
                its_arguments,
                environment,
                self.paces,
            )
            for number, its_arguments in enumerate(arguments, start=1)
        ]

    def look_after(self, *, stopping: bool) -> None:
        """Look after the workers, say how they train, and let go of a GPU that has none left."""
        for worker in self.workers:
            worker.look_after(stopping=stopping)
        if self.paces.take():
            self._say_paces()
        if self._lock is not None and all(worker.has_ended for worker in self.workers):
            self._lock.close()

    def _say_paces(self) -> None:
        name, memory = ("CPU", self._resident()) if self._gpu is None else self._in_use(self._gpu)
        log.info(
            "%s: %s, peaks of %d MiB%s",
            name,
            self.paces,
            self.paces.memory_mib,
            memory,
            extra={
                "event": "slots",
                "images_per_second": self.paces.images_per_second,
                "peak_memory_mib": self.paces.memory_mib,
            },
        )

    def _in_use(self, gpu: Gpu) -> tuple[str, str]:
        used = used_memory_mib(gpu)
        memory = "" if used is None else f"; {used} of {gpu.memory_mib} MiB in use"
        return f"GPU {gpu.index}", memory

    def _resident(self) -> str:
        """Memory of the workers' processes at the moment; what they share is counted once."""
        sizes = [size for worker in self.workers for size in worker.resident_bytes()]
        return f"; {sum(sizes) // 2**20} MiB resident, loader processes included"


class _SlotWorker:
    """The worker on one slot, from its first process to its last.

    Attributes:
        exit_code: 0 unless it ended otherwise than well.
        next_start: When a new process is due, by the monotonic clock; None if none is.
    """

    def __init__(
        self,
        gpu: Gpu | None,
        slot: Slot,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        paces: SlotPaces,
    ) -> None:
        self.exit_code = 0
        self.next_start: float | None = time.monotonic()
        self._gpu = gpu
        self._slot = slot
        device = "the CPU" if gpu is None else f"GPU {gpu}"
        self._place = device if slot.slots == 1 else f"slot {slot.number} of {device}"
        self._arguments = arguments
        self._environment = {**environment, **slot.environment()}
        self._paces = paces
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._pause = FIRST_PAUSE_SECONDS
        self._failures: list[_Failure] = []

    @property
    def has_ended(self) -> bool:
        """Whether there is neither a process nor one to come."""
        return self._process is None and self.next_start is None

    def send_signal(self, number: int) -> None:
        """Hand a signal on."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End a process that doesn't end after a stop signal."""
        if self._process is not None:
            log.error("the worker on %s doesn't end: it is killed", self._place)
            self._process.kill()
            self._killed = True

    def look_after(self, *, stopping: bool) -> None:
        """Take note if the process has ended, and start one that is due unless ``stopping``."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self._process = None
            self._paces.forget(self._slot.number)
            self._judge(code, stopping=stopping)
        if stopping:
            if self.next_start is not None and self._failures:
                self.exit_code = exit_codes.WORK_LEFT  # its trial went back to the queue
            self.next_start = None
        elif self.next_start is not None and self.next_start <= time.monotonic():
            self.next_start = None
            self._process = self._start()

    def _judge(self, code: int, *, stopping: bool) -> None:
        """Say what follows from the end of a process: nothing, an exit code or a new start."""
        if code == 0 or (stopping and code in _STOPPED_AT_START):
            return
        if code == exit_codes.WORK_LEFT or self._killed:
            log.info("the worker on %s ended: %s", self._place, _in_words(code))
            self.exit_code = exit_codes.WORK_LEFT
            return
        if stopping or code in exit_codes.FINAL:
            log.error("the worker on %s ended: %s", self._place, _in_words(code))
            self.exit_code = code if code > 0 else 128 - code  # as shells count signals
            return
        now = time.monotonic()
        self._failures.append(_Failure(now, _in_words(code)))
        self._failures = [
            failure for failure in self._failures if now - failure.time < FAILURE_WINDOW_SECONDS
        ]
        if len(self._failures) >= MOST_FAILURES:
            reasons = [failure.reason for failure in self._failures]
            log.error(
                "%s is out of service: its worker failed %d times within %g minutes (%s); "
                "look at %s, then restart this supervisor",
                self._place,
                len(reasons),
                FAILURE_WINDOW_SECONDS / 60,
                ", ".join(reasons),
                self._likely_cause(reasons),
            )
            self.exit_code = exit_codes.DEVICE_FAULT
            return
        log.warning(
            "the worker on %s ended: %s; it is started again in %g s",
            self._place,
            _in_words(code),
            self._pause,
        )
        self.next_start = now + self._pause
        self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause)

    def _start(self) -> subprocess.Popen[bytes]:
        device = ["--device", "cpu"] if self._gpu is None else ["--gpu", self._gpu.uuid]
        command = [sys.executable, "-m", "histsearch", "worker", *device]
        supervisor = os.getpid()
        self._paces.await_report(self._slot.number)
        return subprocess.Popen(  # noqa: S603 - this very program
            [*command, *self._arguments],
            env={**os.environ, **self._environment},
            pass_fds=self._slot.descriptors,
            preexec_fn=lambda: _stop_with(supervisor),
        )

    def _likely_cause(self, reasons: Sequence[str]) -> str:
        """What to look at after so many failures."""
        if set(reasons) == {_in_words(-signal.SIGKILL)}:
            return "the memory that is left here (dmesg names what was killed for want of it)"
        if set(reasons) == {_in_words(exit_codes.STALLED)}:
            disks = "the disks of images and checkpoints"
            return disks if self._gpu is None else f"{disks}, and nvidia-smi -q"
        return "what its log says" if self._gpu is None else "nvidia-smi -q"

    def resident_bytes(self) -> Iterator[int]:
        """Memory of each of its processes at the moment, of what several share a part each."""
        if self._process is None:
            return
        try:
            worker = psutil.Process(self._process.pid)
            family = [worker, *worker.children(recursive=True)]
        except psutil.Error:  # it has just ended
            return
        for process in family:
            with suppress(psutil.Error):
                memory = process.memory_full_info()
                yield getattr(memory, "pss", memory.rss)  # Linux tells the former


def _stop_with(supervisor: int) -> None:
    """Ask for SIGTERM at the supervisor's death; runs in a new process, before its program."""
    # The handlers in place are the supervisor's, and would swallow a signal.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    end_with_parent(supervisor, signal.SIGTERM)


def _in_words(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return exit_codes.in_words(code)


def _seconds_until(times: Iterable[float | None]) -> float | None:
    """Seconds until the first of some times of the monotonic clock; None if there is none."""
    due = [one for one in times if one is not None]
    return max(0.0, min(due) - time.monotonic()) if due else None
