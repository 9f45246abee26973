import os

import pytest

from histsearch.cli.device import loader_processes
from histsearch.workers import gpu as gpus
from histsearch.workers.gpu import Gpu

GPU = Gpu(index=0, uuid="GPU-0", name="a GPU", memory_mib=1024)


@pytest.mark.parametrize(
    ("chosen", "cores", "gpus_here", "slots", "expected"),
    [
        (None, 12, 4, 1, 3),
        (None, 256, 2, 1, 8),
        (None, 2, 4, 1, 1),
        (24, 12, 4, 1, 24),
        (0, 12, 4, 1, 0),
        (None, 16, 2, 4, 2),
        (None, 256, 2, 4, 8),
        (None, 4, 2, 4, 1),
        (6, 16, 2, 4, 6),
    ],
)
def test_a_slot_has_its_share_of_the_cores_unless_told(
    chosen: int | None,
    cores: int,
    gpus_here: int,
    slots: int,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(gpus, "count_machines_gpus", lambda: gpus_here)
    assert loader_processes(chosen, GPU, slots) == expected


def test_a_cpu_decodes_in_its_own_process_unless_told() -> None:
    assert loader_processes(None, None) == 0
    assert loader_processes(3, None) == 3
