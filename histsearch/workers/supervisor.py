"""One worker process for each GPU, started and stopped together."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from histsearch.workers.gpu import Gpu
from histsearch.workers.stop_request import STOP_SIGNALS

log = logging.getLogger(__name__)


def supervise(gpus: Sequence[Gpu], arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run ``histsearch worker --gpu UUID ARGUMENTS`` for each GPU until all have ended.

    Stop signals are handed on to the workers. One that ends early leaves the others running.

    Args:
        gpus: One worker is started for each.
        arguments: What every worker gets besides its GPU.
        environment: Added to this process's. The storage URL goes here and not on a command
            line, which every user of the machine can read.

    Returns:
        0 when every worker ended well, else the first exit code that says otherwise.
    """
    workers: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for worker in workers:
            worker.send_signal(number)

    for number in STOP_SIGNALS:
        signal.signal(number, hand_on)
    for gpu in gpus:
        if received:
            break
        workers.append(_start_worker(gpu, arguments, environment))
    if received:  # one may have come while the last worker was being started
        hand_on(received[-1], None)
    codes = [worker.wait() for worker in workers]
    for gpu, code in zip(gpus, codes, strict=False):
        if code:
            log.error("the worker on GPU %s ended with exit code %d", gpu, code)
    return next((abs(code) for code in codes if code), 0)


def _start_worker(
    gpu: Gpu, arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "histsearch", "worker", "--gpu", gpu.uuid, *arguments],
        env={**os.environ, **environment},
    )
