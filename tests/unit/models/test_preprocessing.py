import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from histsearch.models.known_backbones import BACKBONES, find_backbone
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.transforms import EvaluationCrop, Normalisation, TrainingCrop

PLAIN = Preprocessing(resize=36, crop=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
CPU = torch.device("cpu")


def gradient(size: int = 64) -> Image.Image:
    row = np.linspace(0, 255, size).astype(np.uint8)
    return Image.fromarray(np.tile(row, (size, 1))).convert("RGB")


def noise(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)


def training_crop(preprocessing: Preprocessing, image: Image.Image) -> Tensor:
    crop_HW3, flipped = TrainingCrop(preprocessing)(np.asarray(image), torch.default_generator)
    return Normalisation(preprocessing, CPU)(crop_HW3[None], torch.tensor([flipped]))[0]


def evaluation_crop(preprocessing: Preprocessing, image: Image.Image) -> Tensor:
    crop_HW3 = torch.from_numpy(np.array(EvaluationCrop(preprocessing)(image)))
    return Normalisation(preprocessing, CPU)(crop_HW3[None])[0]


def span(preprocessing: Preprocessing, image: Image.Image) -> float:
    crop = training_crop(preprocessing, image)
    return float(crop[0, 0].max() - crop[0, 0].min())


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_crops_are_of_8_bit_and_become_a_float_input(name: str) -> None:
    preprocessing = find_backbone(name).preprocessing
    side = preprocessing.crop
    crop_HW3, _ = TrainingCrop(preprocessing)(np.asarray(gradient(40)), torch.default_generator)
    assert (crop_HW3.shape, crop_HW3.dtype) == ((side, side, 3), torch.uint8)
    assert EvaluationCrop(preprocessing)(gradient(40)).size == (side, side)
    for build in (training_crop, evaluation_crop):
        tensor = build(preprocessing, gradient(40))
        assert tensor.shape == (3, side, side)
        assert tensor.dtype == torch.float32
        assert tensor.is_contiguous()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", [(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0 - 0.406) / 0.225]),
        ("bn_inception", [0.0 - 104, 51.0 - 117, 255.0 - 128]),
        ("conv4", [1.0, -0.6, -1.0]),
    ],
)
def test_colours_are_normalised_in_the_backbones_range_and_order(
    name: str, expected: list[float]
) -> None:
    image = Image.new("RGB", (300, 300), (255, 51, 0))
    tensor = evaluation_crop(find_backbone(name).preprocessing, image)
    torch.testing.assert_close(tensor[:, 0, 0], torch.tensor(expected), rtol=1e-5, atol=1e-5)
    assert torch.equal(tensor, tensor[:, :1, :1].expand_as(tensor))


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize("size", [(500, 375), (90, 120), (20, 20)])
def test_evaluation_inputs_are_bit_for_bit_those_of_torchvision_on_pillow_images(
    name: str, size: tuple[int, int]
) -> None:
    preprocessing = find_backbone(name).preprocessing
    to_pixels = 255.0 / preprocessing.value_range
    reference = v2.Compose(
        [
            v2.Resize(
                preprocessing.resize,
                interpolation=v2.InterpolationMode(preprocessing.interpolation),
            ),
            v2.CenterCrop(preprocessing.crop),
            v2.PILToTensor(),
            *([lambda x: x.flip(0)] if preprocessing.channel_order == "bgr" else []),
            v2.ToDtype(torch.float32),
            v2.Normalize(
                [value * to_pixels for value in preprocessing.mean],
                [value * to_pixels for value in preprocessing.std],
            ),
        ]
    )
    image = Image.fromarray(noise(size[1], size[0]))
    assert torch.equal(evaluation_crop(preprocessing, image), reference(image))


def test_test_images_are_resized_by_their_shorter_side_and_cropped_at_the_centre() -> None:
    pixels = np.zeros((36, 72), dtype=np.uint8)
    pixels[2:34, 20:52] = 255
    tensor = evaluation_crop(PLAIN, Image.fromarray(pixels).convert("RGB"))
    assert torch.equal(tensor, torch.ones(3, 32, 32))


@pytest.mark.parametrize(("interpolation", "levels"), [("bilinear", 1), ("bicubic", 3)])
def test_training_crops_are_nearly_those_of_torchvision_on_pillow_images(
    interpolation: str, levels: int
) -> None:
    preprocessing = Preprocessing(
        **{**asdict(PLAIN), "interpolation": interpolation, "crop": 48, "min_crop_area": 0.1}
    )
    reference = v2.Compose(
        [
            v2.RandomResizedCrop(
                48, scale=(0.1, 1.0), interpolation=v2.InterpolationMode(interpolation)
            ),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
        ]
    )
    image = Image.fromarray(noise(90, 130)).resize((260, 180), Image.Resampling.BICUBIC)
    for seed in range(20):
        torch.manual_seed(seed)
        crop_HW3, flipped = TrainingCrop(preprocessing)(np.asarray(image), torch.default_generator)
        given_HW3 = crop_HW3.flip(1) if flipped else crop_HW3
        torch.manual_seed(seed)
        expected_HW3 = reference(image).permute(1, 2, 0)
        assert (given_HW3.int() - expected_HW3.int()).abs().max() <= levels


def test_training_images_depend_on_the_seed_of_torch_alone() -> None:
    image = gradient()
    torch.manual_seed(1)
    first = training_crop(PLAIN, image)
    assert not torch.equal(first, training_crop(PLAIN, image))
    torch.manual_seed(1)
    assert torch.equal(first, training_crop(PLAIN, image))


def test_training_images_are_flipped_half_of_the_time() -> None:
    torch.manual_seed(0)
    image = gradient()
    flips = [bool((t := training_crop(PLAIN, image))[0, 0, 0] > t[0, 0, -1]) for _ in range(200)]
    assert 70 < sum(flips) < 130


def test_each_image_of_a_batch_is_mirrored_or_not_by_its_own_flag() -> None:
    images_NHW3 = torch.from_numpy(np.stack([noise(8, 6)] * 3))
    plain_N3HW = Normalisation(PLAIN, CPU)(images_NHW3)
    mixed_N3HW = Normalisation(PLAIN, CPU)(images_NHW3, torch.tensor([False, True, False]))
    assert torch.equal(mixed_N3HW[[0, 2]], plain_N3HW[[0, 2]])
    assert torch.equal(mixed_N3HW[1], plain_N3HW[1].flip(2))


def test_without_flips_crops_are_the_same_and_none_is_mirrored() -> None:
    image = gradient()
    mirrored = 0
    for seed in range(20):
        torch.manual_seed(seed)
        maybe_flipped = training_crop(PLAIN, image)
        torch.manual_seed(seed)
        crop = training_crop(replace(PLAIN, flip=False), image)
        assert crop[0, 0, 0] < crop[0, 0, -1]
        mirrored += not torch.equal(crop, maybe_flipped)
        assert torch.equal(crop, maybe_flipped) or torch.equal(crop, maybe_flipped.flip(2))
    assert 0 < mirrored < 20


def test_training_crops_keep_the_smallest_area() -> None:
    torch.manual_seed(0)
    image = gradient()
    # A crop's share of the width is the share of the gradient it spans, and it's at least
    # √(area · 3/4); resampling blurs that by a few pixels.
    smallest = math.sqrt(0.5 * 0.75) - 0.05
    assert all(span(replace(PLAIN, min_crop_area=0.5), image) > smallest for _ in range(100))
    assert any(span(PLAIN, image) < smallest for _ in range(100))


def test_bicubic_images_are_resized_so_in_training_and_in_testing() -> None:
    # Bilinear values lie between their neighbours; bicubic ones overshoot at an edge.
    pixels = np.full((64, 64, 3), 100, dtype=np.uint8)
    pixels[:, 32:] = 200
    edge = Image.fromarray(pixels)
    bilinear = replace(PLAIN, resize=100, crop=100)
    bicubic = replace(bilinear, interpolation="bicubic")
    for build in (training_crop, evaluation_crop):
        torch.manual_seed(0)
        assert build(bilinear, edge).max() <= 200 / 255
        torch.manual_seed(0)
        assert build(bicubic, edge).max() > 200 / 255


def test_forms_of_other_pixels_have_other_names() -> None:
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"resize": 40},
        {"crop": 30},
        {"interpolation": "bicubic"},
    )
    names = {EvaluationCrop(replace(PLAIN, **change)).name for change in changes}
    assert len(names) == len(changes)
    assert EvaluationCrop(replace(PLAIN, mean=(0.5, 0.5, 0.5))).name in names


def test_preprocessing_survives_json() -> None:
    fields = json.loads(json.dumps(asdict(find_backbone("bn_inception").preprocessing)))
    assert fields["mean"] == [104.0, 117.0, 128.0]
    assert fields["channel_order"] == "bgr"
