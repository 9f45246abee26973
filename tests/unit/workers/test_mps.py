import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from histsearch.exceptions import DeviceError
from histsearch.workers import mps
from histsearch.workers.gpu import Gpu
from histsearch.workers.mps import how_slots_compute

GPU = Gpu(index=0, uuid="GPU-aaaa", name="NVIDIA H200", memory_mib=143771)
GPU_WORDS = "0: NVIDIA H200, 143771 MiB (GPU-aaaa)"


@pytest.fixture
def pipes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """MPS's folder, without a daemon; a socket's path mustn't be as long as pytest's are."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", folder)
        yield Path(folder)


@pytest.fixture
def exclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mps, "is_exclusive", lambda _: True)


@pytest.mark.usefixtures("exclusive")
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_daemon_that_listens_lets_slots_compute_side_by_side(
    pipes: Path, kind: socket.SocketKind
) -> None:
    with socket.socket(socket.AF_UNIX, kind) as daemon:
        daemon.bind(str(pipes / "control"))
        daemon.listen()
        told = how_slots_compute(GPU, 3)
    assert told == f"the 3 slots of GPU {GPU_WORDS} compute side by side: MPS is at {pipes}"


@pytest.mark.parametrize("left_behind", [False, True])
def test_without_a_daemon_slots_take_turns_and_the_line_says_what_to_start(
    pipes: Path, left_behind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mps, "is_exclusive", lambda _: False)
    if left_behind:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
            daemon.bind(str(pipes / "control"))
            daemon.listen()
    assert (pipes / "control").exists() == left_behind
    assert how_slots_compute(GPU, 2) == (
        f"the 2 slots of GPU {GPU_WORDS} take turns: found no MPS at {pipes}, by which they would "
        "compute side by side; it is started with nvidia-cuda-mps-control -d"
    )


@pytest.mark.usefixtures("exclusive")
def test_slots_of_a_gpu_that_takes_one_process_need_the_daemon(pipes: Path) -> None:
    with pytest.raises(DeviceError) as refusal:
        how_slots_compute(GPU, 2)
    assert str(refusal.value) == (
        f"found GPU {GPU_WORDS} in compute mode EXCLUSIVE_PROCESS and no MPS at {pipes}, which 2 "
        "slots need; start it with nvidia-cuda-mps-control -d, allow more processes with "
        "nvidia-smi -i GPU-aaaa -c DEFAULT, or leave --slots out"
    )
