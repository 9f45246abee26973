from pathlib import Path

import numpy as np
import pytest
import torch

from histsearch.data.census import Census, Part, take_census
from histsearch.data.dataset import Dataset, load_dataset
from histsearch.data.folder import OWN_IMAGES
from histsearch.data.hold_out import USUAL_HOLD_OUT, HoldOut, hold_out_classes
from histsearch.data.image_set import ImageArrays, ImageSet
from histsearch.exceptions import DataError
from histsearch.retrieval.known_metrics import MAP_AT_R, R_PRECISION, recall_at
from histsearch.retrieval.measurement import measure
from tests.miniatures import write_inshop


def images_of(*sizes: int) -> ImageSet:
    labels_N = np.repeat(np.arange(len(sizes)), sizes)
    pixels_NHW = np.zeros((len(labels_N), 2, 2), dtype=np.uint8)
    return ImageSet(ImageArrays(pixels_NHW), labels_N, [f"c{i}" for i in range(len(sizes))])


def test_all_three_parts_are_counted_with_the_points_of_one_image() -> None:
    dataset = Dataset(OWN_IMAGES, images_of(*[15] * 8), images_of(*[20] * 10))
    census = take_census(dataset, USUAL_HOLD_OUT)
    assert census == Census(
        Part("training", classes=6, images=90, lone=0),
        Part("validation", classes=2, images=30, lone=0),
        Part("test", classes=10, images=200, lone=0),
    )
    assert str(census) == (
        "training 90 images in 6 classes; validation 30 images in 2 classes; test 200 images in "
        "10 classes; one validation image is worth 3.33 points, one test image 0.5"
    )
    assert census.warnings() == [
        "30 validation images in 2 classes are too few to rank by, as one is worth 3.33 points; "
        "have at least 10 classes and 100 images"
    ]
    assert Census.from_json(census.to_json()) == census
    assert census.to_json()["validation"]["image_points"] == pytest.approx(10 / 3)


@pytest.mark.parametrize(
    ("delta", "warned"), [(0.5, True), (3.33, True), (3.34, False), (None, False)]
)
def test_a_delta_under_one_image_is_warned_of(delta: float | None, warned: bool) -> None:
    census = take_census(Dataset(OWN_IMAGES, images_of(*[15] * 8), images_of(9, 9)), USUAL_HOLD_OUT)
    found = [text for text in census.warnings(delta) if text.startswith("delta")]
    sentence = (
        f"delta is {delta} points, less than the 3.33 that one validation image is worth; set it "
        "to 3.34 or more, or have more validation images"
    )
    assert found == ([sentence] if warned else [])


def test_the_highest_score_is_that_of_a_perfect_model_by_any_metric() -> None:
    images = images_of(1, 2, 3, 1, 1)
    part = Part.of("test", images)
    perfect_ND = torch.nn.functional.one_hot(torch.as_tensor(images.labels_N)).float()
    metrics = (recall_at(1), MAP_AT_R, R_PRECISION)
    found = measure(metrics, perfect_ND, torch.as_tensor(images.labels_N))
    assert {part.highest_score, *found.values()} == {5 / 8}
    census = take_census(Dataset(OWN_IMAGES, images_of(*[30] * 40), images), USUAL_HOLD_OUT)
    assert census.warnings()[0] == (
        "3 of 8 test images have no other image of their class and always miss, so no score "
        "can exceed 62.5%; add images, or leave such classes out"
    )


def test_a_hit_in_another_part_of_the_gallery_counts_alone() -> None:
    queries, gallery = images_of(2, 1, 1), images_of(0, 1, 4)
    part = Part.of("test", queries, gallery)
    assert (part.lone, part.gallery, part.highest_percent) == (2, 5, "50%")
    assert str(part) == "test 4 query images in 3 classes, with 5 gallery images"


def test_a_cap_just_below_all_is_not_rounded_up() -> None:
    assert Part("test", 20_000, 60_000, lone=1).highest_percent == "99.99%"
    assert Part("test", 20_000, 60_000, lone=0).highest_percent == "100%"


def test_official_queries_and_galleries_are_counted(tmp_path: Path) -> None:
    write_inshop(tmp_path)
    census = take_census(load_dataset("inshop", tmp_path), USUAL_HOLD_OUT)
    assert census.test == Part("test", classes=8, images=8, lone=0, gallery=8)


def test_test_classes_judge_where_nothing_is_held_out() -> None:
    census = take_census(Dataset(OWN_IMAGES, images_of(1, 1, 1), images_of(2, 2)), None)
    assert census.validation is None
    assert (census.judge.name, census.training.classes) == ("test", 3)
    assert census.warnings(delta=0.5)[-1].startswith("delta is 0.5 points, less than the 25 that")
    assert str(census).endswith("; one test image is worth 25 points")
    assert Census.from_json(census.to_json()) == census


def test_validation_of_which_no_query_can_hit_is_refused() -> None:
    with pytest.raises(DataError, match="Each of the 2 validation classes has one image"):
        hold_out_classes(images_of(*[1] * 8), 0.25, 0)


def test_images_left_out_since_the_data_set_was_loaded_count() -> None:
    with pytest.raises(DataError, match="Each of the 3 test classes has one image"):
        take_census(Dataset(OWN_IMAGES, images_of(*[9] * 8), images_of(1, 1, 1)), USUAL_HOLD_OUT)


def test_of_several_folds_the_smallest_is_told_and_the_lowest_cap() -> None:
    sizes = [10, 11, 12, 13, 14, 15, 16, 17]
    folds = HoldOut(0.25, seed=0, folds=4)
    census = take_census(Dataset(OWN_IMAGES, images_of(*sizes), images_of(*[20] * 10)), folds)
    assert sum(part.images for part in census.folds) == sum(sizes)
    assert census.validation is not None
    assert census.validation.images == min(part.images for part in census.folds)
    assert census.training.images == sum(sizes) - census.validation.images
    counts = f"validation {census.validation.images} images in 2 classes"
    assert f"{counts} (the smallest of 4 folds); test" in str(census)
    assert Census.from_json(census.to_json()) == census

    lone = take_census(Dataset(OWN_IMAGES, images_of(1, *[30] * 7), images_of(*[20] * 10)), folds)
    capped = next(number for number, part in enumerate(lone.folds) if part.lone)
    assert [text for text in lone.warnings() if "miss" in text] == [
        f"1 of 31 fold-{capped} validation images have no other image of their class and always "
        "miss, so no score can exceed 96.77%; add images, or leave such classes out"
    ]
    assert lone.judge_of(capped).highest_score < lone.highest_score < 1.0
