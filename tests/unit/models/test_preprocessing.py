import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image

from histsearch.models import transforms
from histsearch.models.known_backbones import BACKBONES, find_backbone
from histsearch.models.preprocessing import Preprocessing

PLAIN = Preprocessing(resize=36, crop=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def gradient(size: int = 64) -> Image.Image:
    row = np.linspace(0, 255, size).astype(np.uint8)
    return Image.fromarray(np.tile(row, (size, 1))).convert("RGB")


def span(preprocessing: Preprocessing, image: Image.Image) -> float:
    crop = transforms.train_transform(preprocessing)(image)
    return float(crop[0, 0].max() - crop[0, 0].min())


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_every_image_mode_becomes_a_float_crop_of_three_channels(name: str, mode: str) -> None:
    preprocessing = find_backbone(name).preprocessing
    image = gradient(40).convert(mode)
    for build in (transforms.train_transform, transforms.test_transform):
        tensor = build(preprocessing)(image)
        assert tensor.shape == (3, preprocessing.crop, preprocessing.crop)
        assert tensor.dtype == torch.float32


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
    tensor = transforms.test_transform(find_backbone(name).preprocessing)(image)
    torch.testing.assert_close(tensor[:, 0, 0], torch.tensor(expected), rtol=1e-5, atol=1e-5)
    assert torch.equal(tensor, tensor[:, :1, :1].expand_as(tensor))


def test_test_images_are_resized_by_their_shorter_side_and_cropped_at_the_centre() -> None:
    pixels = np.zeros((36, 72), dtype=np.uint8)
    pixels[2:34, 20:52] = 255
    tensor = transforms.test_transform(PLAIN)(Image.fromarray(pixels))
    assert torch.equal(tensor, torch.ones(3, 32, 32))


def test_training_images_depend_on_the_seed_of_torch_alone() -> None:
    transform = transforms.train_transform(PLAIN)
    image = gradient()
    torch.manual_seed(1)
    first = transform(image)
    assert not torch.equal(first, transform(image))
    torch.manual_seed(1)
    assert torch.equal(first, transform(image))


def test_training_images_are_flipped_half_of_the_time() -> None:
    torch.manual_seed(0)
    transform = transforms.train_transform(PLAIN)
    image = gradient()
    flips = [bool((t := transform(image))[0, 0, 0] > t[0, 0, -1]) for _ in range(200)]
    assert 70 < sum(flips) < 130


def test_without_flips_crops_are_the_same_and_none_is_mirrored() -> None:
    image = gradient()
    mirrored = 0
    for seed in range(20):
        torch.manual_seed(seed)
        maybe_flipped = transforms.train_transform(PLAIN)(image)
        torch.manual_seed(seed)
        crop = transforms.train_transform(replace(PLAIN, flip=False))(image)
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
    pixels = np.full((64, 64), 100, dtype=np.uint8)
    pixels[:, 32:] = 200
    edge = Image.fromarray(pixels)
    bilinear = replace(PLAIN, resize=100, crop=100)
    bicubic = replace(bilinear, interpolation="bicubic")
    for build in (transforms.train_transform, transforms.test_transform):
        torch.manual_seed(0)
        assert build(bilinear)(edge).max() <= 200 / 255
        torch.manual_seed(0)
        assert build(bicubic)(edge).max() > 200 / 255


def test_preprocessing_survives_json() -> None:
    fields = json.loads(json.dumps(asdict(find_backbone("bn_inception").preprocessing)))
    assert fields["mean"] == [104.0, 117.0, 128.0]
    assert fields["channel_order"] == "bgr"
