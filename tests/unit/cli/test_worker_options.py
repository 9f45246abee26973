from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from histsearch.cli import worker as worker_command
from histsearch.cli.main import app
from histsearch.cli.worker import WorkerOptions, worker
from histsearch.exceptions import DeviceError
from histsearch.workers import mps, supervisor
from histsearch.workers.gpu import Gpu


def options_of(*arguments: str) -> WorkerOptions:
    """What the command is called with, its callback left out."""
    app = typer.Typer()
    called: list[WorkerOptions] = []

    @app.command()
    @wraps(worker)
    def note(**given: Any) -> None:
        called.append(WorkerOptions(**given))

    get_command(app)(list(arguments), standalone_mode=False)
    (options,) = called
    return options


@pytest.mark.parametrize(
    "given",
    [
        ["--drain", "--study", "a", "--study", "--b", "--threads", "3", "--loaders", "0"],
        ["--slots", "3", "--data", "a folder", "--checkpoints", "s3://bucket", "--heartbeat", ".1"],
        ["--checkpoint-every", "5", "--database-patience", "7", "--log-format", "json"],
        ["--data-on-gpu", "never", "--image-cache-limit", "5GB"],
        [],
    ],
)
def test_a_supervisors_worker_gets_the_options_that_were_given(given: list[str]) -> None:
    whole = options_of("--gpu", "all", "--storage", "postgresql://ann:secret@db/x", *given)
    arguments = whole.arguments(place=1)
    again = options_of("--gpu", "GPU-1", *arguments)
    assert replace(again, context=whole.context) == replace(whole, gpu="GPU-1", storage=None)
    assert "secret" not in " ".join(arguments)


def test_each_worker_of_a_supervisor_has_a_metrics_port_of_its_own() -> None:
    given = ("--gpu", "0,1", "--metrics-port", "9100", "--metrics-address", "0.0.0.0")  # noqa: S104
    assert [options_of(*given).arguments(place) for place in (0, 1)] == [
        ["--metrics-address=0.0.0.0", "--metrics-port=9100"],
        ["--metrics-address=0.0.0.0", "--metrics-port=9101"],
    ]


def test_each_slot_of_each_gpu_has_a_metrics_port_of_its_own() -> None:
    options = options_of("--gpu", "0,1", "--slots", "2", "--metrics-port", "9100")
    ports = [options.arguments(place)[-1] for place in range(4)]
    assert ports == [f"--metrics-port={9100 + place}" for place in range(4)]


@pytest.mark.parametrize(
    ("given", "gpu", "threads"),
    [
        ([], False, 1),
        (["--slots", "3"], False, 1),
        (["--threads", "8"], False, 8),
        (["--threads", "8", "--slots", "3"], False, 2),
        (["--threads", "2", "--slots", "3"], False, 1),
        (["--slots", "3"], True, 2),
        (["--threads", "6", "--slots", "2"], True, 3),
    ],
)
def test_slots_divide_the_threads_that_were_given(
    given: list[str], gpu: bool, threads: int
) -> None:
    device = Gpu(0, "GPU-a", "NVIDIA H200", 143771) if gpu else None
    assert worker_command._threads(device, options_of("--device", "cpu", *given)) == threads


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, int]]:
    """What a supervisor is started for, on a machine with two GPUs and no MPS."""
    gpus = [Gpu(index, f"GPU-{index}", "NVIDIA H200", 143771) for index in range(2)]
    started: list[tuple[Any, int]] = []

    def note(
        devices: Sequence[Gpu | None], slots: int, arguments: Callable[..., Any], _: Any
    ) -> int:
        assert arguments(1)
        started.append(([one and one.index for one in devices], slots))
        return 0

    monkeypatch.setattr(worker_command, "log_to_stderr", lambda *_: None)
    monkeypatch.setattr(worker_command, "named_gpus", lambda gpu, _: gpus if gpu else [])
    monkeypatch.setattr(supervisor, "supervise", note)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    return started


def start(*arguments: str) -> Any:
    storage = "postgresql://ann@db/x"
    return CliRunner().invoke(
        app, ["worker", "--storage", storage, "--checkpoint-every=2", *arguments]
    )


@pytest.mark.parametrize(
    ("given", "devices", "slots"),
    [
        (["--gpu", "all"], [0, 1], 1),
        (["--gpu", "all", "--slots", "3"], [0, 1], 3),
        (["--device", "cpu", "--slots", "2"], [None], 2),
    ],
)
def test_gpus_and_slots_have_a_supervisor(
    supervised: list[tuple[Any, int]],
    given: list[str],
    devices: list[int | None],
    slots: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mps, "is_exclusive", lambda _: False)
    assert start(*given).exit_code == 0
    assert supervised == [(devices, slots)]


def test_slots_of_a_gpu_that_takes_one_process_are_refused_before_any_starts(
    supervised: list[tuple[Any, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mps, "is_exclusive", lambda gpu: gpu.index == 1)
    refused = start("--gpu", "all", "--slots", "2")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: found GPU 1: NVIDIA H200")
    assert "EXCLUSIVE_PROCESS" in refused.stderr
    assert start("--gpu", "all").exit_code == 0, "one process each is what it takes"
    assert supervised == [([0, 1], 1)]


def test_share_is_refused_with_what_replaced_it(supervised: list[tuple[Any, int]]) -> None:
    refused = start("--gpu", "0", "--share")
    assert isinstance(refused.exception, DeviceError)
    assert "--slots N" in str(refused.exception)
    assert supervised == []
