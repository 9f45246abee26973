"""Batches from processes that are kept, however processes start."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from histsearch.data.batches import EpochBatches, EvaluationImages, TrainingImages
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_loader import ImageLoader
from histsearch.data.image_set import ImageArrays, ImageSet
from histsearch.models.known_backbones import find_backbone
from histsearch.models.transforms import EvaluationCrop, TrainingCrop

LABELS_N = np.repeat(np.arange(4), 3)
LIMIT_SECONDS = 60.0


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def start_method(request: pytest.FixtureRequest) -> Iterator[str]:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


def images() -> ImageSet:
    pixels_NHW = np.random.default_rng(0).integers(0, 256, size=(12, 40, 40), dtype=np.uint8)
    return ImageSet(ImageArrays(pixels_NHW), LABELS_N, "abcd")


def two_epochs_with_evaluations(processes: int) -> list[Tensor]:
    preprocessing = find_backbone("conv4").preprocessing
    whole = images().formed(WholeImages())
    training = TrainingImages(whole, LABELS_N, TrainingCrop(preprocessing), seed=3)
    evaluation = EvaluationImages(images().formed(EvaluationCrop(preprocessing)))
    order = EpochBatches(LABELS_N, 4, seed=3)
    loader = ImageLoader(processes, pin_memory=False)
    loader.add(training)
    batches: list[Tensor] = []
    for epoch, first_batch in ((2, 1), (5, 0)):
        order.set_epoch(epoch, first_batch)
        for crops_and_labels in loader.batches(training, order):
            batches += crops_and_labels
        batches += loader.batches(evaluation, evaluation.batches(5))
    return batches


def test_batches_are_the_same_bit_for_bit_however_processes_start(start_method: str) -> None:
    assert multiprocessing.get_start_method() == start_method
    alone, shared = two_epochs_with_evaluations(0), two_epochs_with_evaluations(1)
    assert len(alone) == len(shared) == 3 * 2 + 3 + 3 * 3 + 3
    assert all(torch.equal(*pair) for pair in zip(alone, shared, strict=True))


class Processes(Dataset[int]):
    """Each item is the process that loaded it."""

    def __getitem__(self, _: int) -> int:
        return os.getpid()


def test_the_same_processes_load_epochs_and_evaluations() -> None:
    training, validation, later = Processes(), Processes(), Processes()
    loader = ImageLoader(2, pin_memory=False)
    loader.add(training)
    loader.add(validation)

    def load(part: Processes) -> set[int]:
        return set(torch.cat(list(loader.batches(part, [[0], [1], [2], [3]]))).tolist())

    processes = load(training)
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert load(validation) == load(training) == load(validation) == processes
    assert not load(later) & processes, "a set that comes later starts them anew"
    assert load(training) == load(later)


def test_an_iteration_that_was_left_disturbs_no_later_one() -> None:
    whole_images = images().formed(WholeImages())
    training = TrainingImages(whole_images, LABELS_N, _as_it_is, seed=1)
    loader = ImageLoader(1, pin_memory=False)
    whole = [labels.tolist() for _, _, labels in loader.batches(training, [[(0, 1)], [(0, 7)]])]
    for _ in loader.batches(training, [[(0, i)] for i in range(12)]):
        break
    again = [labels.tolist() for _, _, labels in loader.batches(training, [[(0, 1)], [(0, 7)]])]
    assert whole == again == [[0], [2]]


def _as_it_is(image_HW3: npt.NDArray[np.uint8], _: torch.Generator) -> tuple[Tensor, bool]:
    return torch.as_tensor(image_HW3.copy()), False


PROGRAM = """
import multiprocessing, os, sys, time
from torch.utils.data import Dataset
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_loader import ImageLoader

class Processes(Dataset):
    def __getitem__(self, _):
        return os.getpid()

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    loader = ImageLoader(2, pin_memory=False)
    found = list(loader.batches(Processes(), [[0], [1]]))
    print(*(int(one) for one in found), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_loader_processes_end_with_a_process_that_was_killed(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program), method], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    loaders = [psutil.Process(int(number)) for number in process.stdout.readline().split()]
    assert len(loaders) == 2
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT_SECONDS)
    deadline = time.monotonic() + LIMIT_SECONDS
    while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in loaders):
        assert time.monotonic() < deadline, "they are still there"
        time.sleep(0.05)
