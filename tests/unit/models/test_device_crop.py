"""Crops that are cut on the device, beside those of loader processes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torchvision.transforms import RandomResizedCrop

from histsearch.models import device_crop
from histsearch.models.device_crop import DeviceCrop, PlacedBox
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.training_boxes import TrainingBoxes
from histsearch.models.transforms import Normalisation, TrainingCrop

PLAIN = Preprocessing(resize=36, crop=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(number: int, largest: int) -> list[NDArray[np.uint8]]:
    """Images of grey and of full contrast, of all shapes from one pixel on."""
    rng = np.random.default_rng(largest)
    images = []
    for at in range(number):
        height, width = (int(side) for side in rng.integers(1, largest, 2))
        image_HW3 = rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        images.append(image_HW3 if at % 2 else (image_HW3 // 128) * np.uint8(255))
    return images


def cut_on_device(
    preprocessing: Preprocessing, images: list[NDArray[np.uint8]], device: str = "cpu"
) -> Tensor:
    boxes, first = [], 0
    for seed, image_HW3 in enumerate(images):
        height, width, _ = image_HW3.shape
        box = TrainingBoxes(preprocessing).draw(height, width, seeded(seed))
        boxes.append(PlacedBox(first, width, box))
        first += height * width
    pixels_P3 = torch.from_numpy(np.concatenate([one.reshape(-1, 3) for one in images]))
    return DeviceCrop(preprocessing)(pixels_P3.to(device), boxes).cpu()


def cut_by_loader(preprocessing: Preprocessing, images: list[NDArray[np.uint8]]) -> Tensor:
    crop = TrainingCrop(preprocessing)
    return torch.stack([crop(one, seeded(seed))[0] for seed, one in enumerate(images)])


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("least_area", [0.08, 0.9])
def test_boxes_are_drawn_with_the_numbers_that_torchvision_draws(
    least_area: float, flip: bool
) -> None:
    boxes = TrainingBoxes(replace(PLAIN, min_crop_area=least_area, flip=flip))
    sizes = np.random.default_rng(0).integers(1, 700, size=(400, 2)).tolist()
    for seed, (height, width) in enumerate(sizes):
        torch.manual_seed(seed)
        expected = RandomResizedCrop.get_params(
            torch.empty(1).expand(3, height, width), [least_area, 1.0], [3 / 4, 4 / 3]
        )
        flipped = flip and bool(torch.rand(1) < 0.5)
        generator = seeded(seed)
        assert boxes.draw(height, width, generator) == (*expected, flipped)
        assert torch.equal(generator.get_state(), torch.get_rng_state())


NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("largest", "side"), [(40, 32), (260, 32), (260, 7), (900, 64)])
def test_crops_differ_from_those_of_loader_processes_by_a_level_at_most(
    largest: int, side: int, interpolation: str, device: str
) -> None:
    changed = {"crop": side, "interpolation": interpolation}
    preprocessing = replace(PLAIN, **changed)  # type: ignore[arg-type]
    images = noise(16, largest)
    found = cut_on_device(preprocessing, images, device)
    expected = cut_by_loader(preprocessing, images)
    assert (found.shape, found.dtype) == (expected.shape, torch.uint8)
    difference = (found.int() - expected.int()).abs()
    assert difference.max() <= 1
    assert difference.float().mean() < 1e-3


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_gpu_cuts_a_batch_while_the_host_goes_on(
    interpolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU that torch makes up, an operation that would have to wait for it raises."""
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(device_crop, "_PIXELS_AT_ONCE", 2000)
    preprocessing = replace(PLAIN, interpolation=interpolation)  # type: ignore[arg-type]
    boxes = [
        PlacedBox(1200 * seed, 30, TrainingBoxes(preprocessing).draw(40, 30, seeded(seed)))
        for seed in range(8)
    ]
    with FakeTensorMode():
        pixels_P3 = torch.empty(1200 * 8, 3, dtype=torch.uint8, device="cuda")
        crops_NSS3 = DeviceCrop(preprocessing)(pixels_P3, boxes)
        flipped_N = torch.empty(8, dtype=torch.bool)
        input_N3SS = Normalisation(preprocessing, pixels_P3.device)(crops_NSS3, flipped_N)
        assert crops_NSS3.shape == (8, 32, 32, 3)
        assert {crops_NSS3.device.type, input_N3SS.device.type} == {"cuda"}
        with pytest.raises(DataDependentOutputException):
            bool((crops_NSS3 > 0).all())


def test_a_batch_that_is_cut_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(9, 80)
    at_once = cut_on_device(PLAIN, images)
    monkeypatch.setattr(device_crop, "_PIXELS_AT_ONCE", 80 * 80 * 2)
    assert torch.equal(cut_on_device(PLAIN, images), at_once)
    monkeypatch.setattr(device_crop, "_PIXELS_AT_ONCE", 1)
    assert torch.equal(cut_on_device(PLAIN, images), at_once)
