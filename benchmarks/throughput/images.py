"""Images a second that one core prepares for a network: as up to version 0.1, and as now.

    python -m benchmarks.throughput.images PHOTOS --out F.json

PHOTOS is a folder of JPEG files. Each way of preparing them goes through the same images in the
same order, a few batches at a time in turn with the others, and is timed by the process's clock, so
that other work on the machine hardly counts. A figure is the ratio to the way of version 0.1 within
one round; the table gives the median over rounds, the lowest and the highest. Batches are put
together in each, as a loader process does. What the device does with a batch is timed apart.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL
import torch
import torchvision
from PIL import Image, features
from torch import Tensor
from torch.utils.data import default_collate
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2

from histsearch.data.batches import EvaluationImages, TrainingImages
from histsearch.data.image_cache import ImageCache
from histsearch.data.image_forms import ImageForm, WholeImages
from histsearch.data.image_set import ImageSet
from histsearch.models.known_backbones import find_backbone
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.transforms import (
    FULL_BRIGHTNESS,
    EvaluationCrop,
    Normalisation,
    TrainingCrop,
)

BATCH = 32
BATCHES_A_TURN = 2
CAP = 320

Way = Callable[[Sequence[int], int], object]
"""Prepares a batch of images, by their indices, in an epoch."""


def earlier_crops(preprocessing: Preprocessing, *, train: bool) -> list[v2.Transform]:
    """Crops as version 0.1 and the reference's code cut them, from Pillow's images."""
    if train:
        return [
            v2.RandomResizedCrop(preprocessing.crop, scale=(preprocessing.min_crop_area, 1.0)),
            v2.RandomHorizontalFlip(),
        ]
    return [v2.Resize(preprocessing.resize), v2.CenterCrop(preprocessing.crop)]


def _tensors(preprocessing: Preprocessing) -> list[Callable[..., Tensor]]:
    to_pixels = FULL_BRIGHTNESS / preprocessing.value_range
    return [
        v2.PILToTensor(),
        v2.ToDtype(torch.float32),
        v2.Normalize(
            [value * to_pixels for value in preprocessing.mean],
            [value * to_pixels for value in preprocessing.std],
            inplace=True,
        ),
    ]


class EarlierImages:
    """Training or evaluation images as version 0.1 prepared those of a large data set."""

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing, *, train: bool) -> None:
        self._paths = paths
        self._transform = v2.Compose(
            [*earlier_crops(preprocessing, train=train), *_tensors(preprocessing)]
        )

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, index = key
        with Image.open(self._paths[index]) as opened:
            image = opened.convert("RGB")
        words = np.random.SeedSequence((0, epoch, index)).generate_state(1, np.uint32)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(words[0]))
            return self._transform(image), 0


class TorchvisionDecoded:
    """Images that torchvision's own decoder reads, for a `TrainingImages`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        image_3HW = decode_jpeg(read_file(str(self._paths[index])), ImageReadMode.RGB)
        pixels_HW3: npt.NDArray[np.uint8] = image_3HW.permute(1, 2, 0).numpy()
        return pixels_HW3


def ways(paths: Sequence[Path], folder: Path) -> dict[str, tuple[Way, str]]:
    """Each way of preparing a batch, and the one that it is measured against."""
    preprocessing = find_backbone("resnet50").preprocessing
    labels_N = np.zeros(len(paths), dtype=np.int64)
    plain = ImageSet.from_files([(path, "a") for path in paths])
    kept = plain.with_cache(ImageCache(folder).of("photographs", paths[0].parent))

    def training(images: object) -> Way:
        crop = TrainingCrop(preprocessing)
        data = TrainingImages(images, labels_N, crop, 0)  # type: ignore[arg-type]
        return lambda batch, epoch: default_collate([data[epoch, index] for index in batch])

    def evaluation(images: ImageSet, form: ImageForm) -> Way:
        data = EvaluationImages(images.formed(form))
        return lambda batch, _: default_collate([data[index] for index in batch])

    def earlier(*, train: bool) -> Way:
        data = EarlierImages(paths, preprocessing, train=train)
        return lambda batch, epoch: default_collate([data[epoch, index] for index in batch])

    crops = EvaluationCrop(preprocessing)
    first, tested = "training: version 0.1", "evaluation: version 0.1"
    return {
        first: (earlier(train=True), first),
        "training: decoded each time": (training(plain.formed(WholeImages())), first),
        "training: the same with torchvision's decoder": (
            training(TorchvisionDecoded(paths)),
            first,
        ),
        "training: kept at full size": (training(kept.formed(WholeImages())), first),
        f"training: kept, image_size_cap = {CAP}": (training(kept.formed(WholeImages(CAP))), first),
        tested: (earlier(train=False), tested),
        "evaluation: decoded each time": (evaluation(plain, crops), tested),
        "evaluation: kept": (evaluation(kept, crops), tested),
    }


def measure(paths: Sequence[Path], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a core takes for an image in each way, once a round."""
    with tempfile.TemporaryDirectory(prefix="histsearch-images-") as folder:
        prepared = ways(paths, Path(folder))
        times: dict[str, list[float]] = {name: [] for name in prepared}
        order = np.random.default_rng(0).permutation(len(paths)).tolist()
        batches = [order[at : at + BATCH] for at in range(0, len(order) - BATCH + 1, BATCH)]
        for number in range(rounds + 1):
            spent = dict.fromkeys(prepared, 0.0)
            for at in range(0, len(batches), BATCHES_A_TURN):
                turn = batches[at : at + BATCHES_A_TURN]
                for name, (way, _) in prepared.items():
                    started = time.process_time()
                    for batch in turn:
                        way(batch, number)
                    spent[name] += time.process_time() - started
            if number:  # the first round fills the page cache
                for name, seconds in spent.items():
                    times[name].append(1000 * seconds / (len(batches) * BATCH))
    against = {name: of for name, (_, of) in prepared.items()}
    for name, spans in times.items():
        ratios = [b / a for a, b in zip(spans, times[against[name]], strict=True)]
        print(
            f"| {name} | {statistics.median(spans):.3f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) |",
            flush=True,
        )
    return times


def device_share(rounds: int) -> float:
    """Milliseconds that a core takes to mirror and normalise an image of a batch."""
    preprocessing = find_backbone("resnet50").preprocessing
    normalised = Normalisation(preprocessing, torch.device("cpu"))
    side = preprocessing.crop
    images_NHW3 = torch.randint(256, (BATCH, side, side, 3), dtype=torch.uint8)
    flipped_N = torch.arange(BATCH) % 2 == 0
    spans = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(10):
            normalised(images_NHW3, flipped_N)
        spans.append(1000 * (time.process_time() - started) / (10 * BATCH))
    return statistics.median(spans)


def checking(paths: Sequence[Path], rounds: int) -> list[float]:
    """Milliseconds that a core takes to check a kept image of full size, once a round."""
    plain = ImageSet.from_files([(path, "a") for path in paths])
    spans = []
    with tempfile.TemporaryDirectory(prefix="histsearch-images-") as folder:
        cache = ImageCache(Path(folder)).of("photographs", paths[0].parent)
        kept = cache.keep(paths, plain.to_rgb, WholeImages(), 0, int)
        for _ in range(rounds):
            started = time.process_time()
            kept.damaged(int)
            spans.append(1000 * (time.process_time() - started) / len(paths))
    return spans


def same_pixels(paths: Sequence[Path]) -> int:
    """Of how many files both decoders give the same pixels."""
    plain = ImageSet.from_files([(path, "a") for path in paths]).formed(WholeImages())
    others = TorchvisionDecoded(paths)
    return sum(np.array_equal(plain[i], others[i]) for i in range(len(paths)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path, help="a folder of JPEG files, in subfolders maybe")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = sorted(options.photos.expanduser().rglob("*.jpg"))
    paths = found[:: max(1, len(found) // options.images)][: options.images]
    sizes = [Image.open(path).size for path in paths]
    side = "×".join(f"{statistics.fmean(one):.0f}" for one in zip(*sizes, strict=True))
    kilobytes = statistics.fmean(path.stat().st_size for path in paths) / 1000
    print(f"{len(paths)} photographs, on average {side} pixels, {kilobytes:.0f} kB")
    checked = checking(paths, options.rounds)
    result = {
        "photographs": {"number": len(paths), "mean_size": side, "mean_kilobytes": kilobytes},
        "milliseconds_an_image": measure(paths, options.rounds),
        "mirroring_and_normalising_on_this_core": device_share(options.rounds),
        "checking_a_kept_image": checked,
        "files_that_both_decoders_read_alike": same_pixels(paths),
        "machine": {"processor": platform.processor(), "cores": os.cpu_count()},
        "versions": {
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "Pillow": PIL.__version__,
            "libjpeg-turbo": features.version("libjpeg_turbo"),
        },
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"on the device: {result['mirroring_and_normalising_on_this_core']:.3f} ms an image")
    print(
        f"checking a kept image: {statistics.median(checked):.3f} ms "
        f"({min(checked):.3f} to {max(checked):.3f})"
    )
    print(f"both decoders alike: {result['files_that_both_decoders_read_alike']} of {len(paths)}")


if __name__ == "__main__":
    main()
