"""``histsearch study create --dry-run``: what it says, and that it creates nothing."""

import fcntl
import re
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner, Result

from histsearch.cli import dry_run
from histsearch.cli.main import app
from histsearch.data.cache_contents import kept_forms
from histsearch.data.dataset import load_dataset
from histsearch.data.image_cache import ImageCache
from histsearch.data.image_forms import WholeImages
from histsearch.exceptions import HistsearchError
from histsearch.space.reading import load_space
from histsearch.training import images_on_device, timing
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.single_run import SingleRun
from histsearch.training.trainer import Trainer
from histsearch.workers import gpu_lock
from histsearch.workers.gpu import Gpu

torch.set_num_threads(1)

GPU = Gpu(0, "GPU-of-a-dry-run", "NVIDIA H200", 143771)
LOSSES = {
    "proxy-anchor": '[loss]\nname = "proxy-anchor"\n[search]\ndelta = [0.1, 0.2]\n',
    "library": '[loss]\nname = "pml:MultiSimilarityLoss"\nminer = "pml:MultiSimilarityMiner"\n'
    "[search]\nalpha = [1, 2]\n",
}


class Told(NamedTuple):
    """What a dry run says."""

    lines: dict[str, str]
    errors: str

    @property
    def epoch_seconds(self) -> dict[int, float]:
        """By batch size."""
        found = re.findall(r"([\d.]+) s with batch_size (\d+)", self.lines["epoch"])
        return {int(size): float(seconds) for seconds, size in found}


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares a test that asks for no time the waiting for a stable one."""
    monkeypatch.setattr(timing, "_ENOUGH_SECONDS", 0.0)


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where all that histsearch makes would lie, and no database anywhere."""
    folder = tmp_path / "nothing"
    for name in ("HOME", "IMAGE_CACHE", "CHECKPOINTS"):
        monkeypatch.setenv(f"HISTSEARCH_{name}", str(folder / name))
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    monkeypatch.setenv("HISTSEARCH_STORAGE", "postgresql://nobody@127.0.0.1:9/nothing")
    monkeypatch.delenv("HISTSEARCH_DATA", raising=False)
    return folder


def create(space: object, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["study", "create", str(space), *arguments])


def told(space: object, *arguments: str) -> Told:
    done = create(space, "--dry-run", "--device", "cpu", *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    lines = dict(line.split(":", 1) for line in done.stdout.splitlines())
    return Told({label: text.strip() for label, text in lines.items()}, done.stderr)


def refusal(space: object, *arguments: str) -> str:
    done = create(space, *arguments)
    assert isinstance(done.exception, HistsearchError), done.output
    return str(done.exception)


def write_space(folder: Path, rest: str, **keys: str) -> Path:
    space = folder / "space.toml"
    given = {"name": '"s"', "dataset": '"folder:stripes"', "backbone": '"conv4"'} | keys
    lines = [f"{key} = {value}" for key, value in ({"epochs": "3", "trials": "4"} | given).items()]
    space.write_text("\n".join(lines) + "\n" + rest)
    return space


def test_its_times_are_those_of_a_real_run_and_nothing_is_created(nothing: Path) -> None:
    found = told("demo")
    space = load_space("demo")
    for size in (16, 64):
        values = {**space.enqueue[0], "batch_size": size, "warmup_epochs": 0}
        run = SingleRun(
            space,
            values,
            data_dir=nothing,
            device="cpu",
            threads=1,
            loader_processes=0,
            seed=0,
        )
        epochs = run.epochs()
        next(epochs)  # finds what a worker finds in its first epoch alone
        real = next(epochs).seconds
        assert real / 3 < found.epoch_seconds[size] < 3 * real
    assert found.lines.keys() == {
        *("dry run", "images", "epoch", "full run", "budget", "memory", "checkpoints"),
    }
    assert found.lines["dry run"].startswith('"demo" on ')
    assert found.lines["full run"].endswith("for 5 epochs after 1 of warm-up")
    assert "at most" in found.lines["budget"]
    assert "probably, for 12 trials with 1 worker" in found.lines["budget"]
    assert re.fullmatch(r"[\d,]+ MiB of this process at most, with .* 64", found.lines["memory"])
    assert "for 24 states of all trials, 1.6 MB each" in found.lines["checkpoints"]
    assert found.errors.splitlines() == [
        "timing batches of 16 images",
        "timing batches of 64 images",
    ]
    assert not nothing.exists()


@pytest.mark.usefixtures("_quick")
def test_files_are_read_and_none_are_kept(
    nothing: Path, stripes_file: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTSEARCH_DATA", str(data_dir))
    before = sorted(data_dir.rglob("*"))
    found = told(stripes_file, "--trials", "7", "--name", "other")
    assert "training 32 images in 4 classes; validation 16 images" in found.lines["images"]
    assert found.lines["dry run"].startswith('"other" on ')
    assert "for 7 trials" in found.lines["budget"]
    assert "2 states of each worker's trial" in found.lines["checkpoints"]
    assert "warning: 16 validation images in 2 classes are too few" in found.errors
    assert sorted(data_dir.rglob("*")) == before
    assert not nothing.exists()


@pytest.mark.usefixtures("_quick")
def test_images_that_are_kept_already_are_read_and_stay(
    nothing: Path, stripes_file: Path, data_dir: Path
) -> None:
    images, folder = load_dataset("folder:stripes", data_dir).train, nothing / "IMAGE_CACHE"
    cache = ImageCache(folder).of("folder:stripes", data_dir)
    cache.keep(images.paths, images.to_rgb, WholeImages(), 0, lambda: None)
    kept = kept_forms(folder)
    told(stripes_file, "--data", str(data_dir))
    assert kept_forms(folder) == kept


@pytest.mark.usefixtures("_quick", "nothing")
@pytest.mark.parametrize("rest", LOSSES.values(), ids=list(LOSSES))
def test_other_losses_and_backbones_are_timed_too(
    rest: str, tmp_path: Path, data_dir: Path
) -> None:
    pytest.importorskip("pytorch_metric_learning")
    pytest.importorskip("timm")
    fixed = "[fixed]\nbatch_size = 8\nimages_per_class = 4\nembedding_size = 16\nimage_size = 32\n"
    changes = {"backbone": '"timm:test_resnet"', "precision": '"bf16"'}
    found = told(write_space(tmp_path, rest + fixed, **changes), "--data", str(data_dir))
    assert found.epoch_seconds[8] > 0


@pytest.mark.usefixtures("_quick", "nothing")
def test_a_batch_that_does_not_fit_is_one_sentence(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Trainer._train_batch

    def train_small(self: Trainer, images_N3HW: Tensor, labels_N: Tensor) -> Tensor:
        if len(images_N3HW) > 8:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")
        return train(self, images_N3HW, labels_N)

    monkeypatch.setattr(Trainer, "_train_batch", train_small)
    at_cpu = ("--dry-run", "--device", "cpu", "--data", str(data_dir))
    space = write_space(tmp_path, "[search]\nbatch_size = [4, 8, 16, 32]\n")
    assert refusal(space, *at_cpu).startswith(
        "batch_size 32 doesn't fit into memory, 8 is the largest tried that does: this machine is "
        "short of GPU memory; see with nvidia-smi whether other processes hold its memory, "
    )
    space = write_space(tmp_path, "[search]\nbatch_size = [16, 32]\n")
    assert refusal(space, *at_cpu).startswith("batch_size 16 doesn't fit into memory: this ")


@pytest.mark.usefixtures("_quick", "nothing")
@pytest.mark.parametrize("step", ["placing", "training"])
def test_images_that_do_not_fit_on_the_device_are_given_up_as_by_a_worker(
    step: str, stripes_file: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A CPU holds images by nobody's own choice.
    monkeypatch.setattr(
        ImagesOnDevice, "are_wanted", lambda images, *_: images._choice is DataOnGpu.auto
    )
    train, tried = Trainer._train_batch, []

    def short_of_memory(*_: object) -> NoReturn:
        tried.append(step)
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")

    def train_loaded(self: Trainer, images_N3HW: Tensor, labels_N: Tensor) -> Tensor:
        if self.crops_on_device:
            short_of_memory()
        return train(self, images_N3HW, labels_N)

    if step == "placing":
        monkeypatch.setattr(images_on_device, "placed", short_of_memory)
    monkeypatch.setattr(Trainer, "_train_batch", train_loaded)
    assert told(stripes_file, "--data", str(data_dir)).epoch_seconds
    assert tried == [step]


def test_a_gpu_that_a_worker_holds_is_refused(
    tmp_path: Path, nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_lock, "_COMMON_FOLDER", tmp_path)
    monkeypatch.setattr(dry_run, "named_gpu", lambda *_: GPU)
    monkeypatch.setattr(dry_run, "pin", lambda _: "cpu")
    with (tmp_path / f"histsearch-{GPU.uuid}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = refusal("demo", "--dry-run", "--gpu", "0")
    assert found.startswith(f"another histsearch worker holds GPU {GPU}; ")
    assert not nothing.exists()


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dry-run"], "name the device: either --gpu INDEX, or --device cpu"),
        (["--dry-run", "--gpu", "0", "--device", "cpu"], "name the device"),
        (["--device", "cpu"], "found --gpu or --device without --dry-run"),
        (["--gpu", "0"], "found --gpu or --device without --dry-run"),
        (["--dry-run", "--device", "cpu", "--warm-start", "earlier"], "found --warm-start with"),
        (["--dry-run", "--device", "cpu", "--name", "no/name"], "found the study name 'no/name'"),
        (["--dry-run", "--device", "cpu", "--trials", "0"], "found a budget of 0 trials, allowed:"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(arguments: list[str], sentence: str) -> None:
    assert refusal("demo", *arguments).startswith(sentence)


@pytest.mark.usefixtures("nothing")
def test_what_a_study_could_not_be_is_refused_as_without_a_dry_run(
    tmp_path: Path, data_dir: Path
) -> None:
    at_cpu = ("--dry-run", "--device", "cpu", "--data", str(data_dir))
    grid = {"sampler": '"grid"', "trials": "2"}
    searched = "[search]\ntau = [4, 8]\n"
    small = write_space(tmp_path, searched, **grid)
    assert "at most 2, the points of the grid" in refusal(small, *at_cpu, "--trials", "3")
    assert "did you mean" in refusal(write_space(tmp_path, "[search]\ntua = [4]\n"), *at_cpu)
    large = write_space(tmp_path, "[search]\nbatch_size = [8, 512]\n")
    assert refusal(large, *at_cpu).startswith("A batch of 512 images can't be filled from 32 ")
    lost = write_space(tmp_path, searched, dataset='"folder:lost"')
    assert "lost" in refusal(lost, *at_cpu)
    queued = "[[enqueue]]\ntau = 4\n[[enqueue]]\ntau = 8\n"
    many = write_space(tmp_path, searched + queued)
    assert "found 2 enqueued configurations in a budget" in refusal(many, *at_cpu, "--trials", "1")
