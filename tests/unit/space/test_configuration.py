import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from histsearch.losses.hist_record import HISTParameters
from histsearch.models.known_backbones import BACKBONES, find_backbone
from histsearch.models.preprocessing import Preprocessing
from histsearch.space.known_parameters import known_parameters

HIST = known_parameters(HISTParameters)

WORDS = {"distance", "optimizer"}
SWITCHES = {"bn_freeze", "flip"}
OF_THE_BACKBONE = {"image_size", "min_crop_area"}
WHOLE = {
    "hgnn_layers",
    "hgnn_hidden",
    "embedding_size",
    "batch_size",
    "images_per_class",
    "warmup_epochs",
    "lr_step",
    "image_size",
}


def test_defaults_are_those_of_cars196_on_resnet50(golden: Path) -> None:
    tables = json.loads((golden / "paper_tables.json").read_text())
    training = tables["table8_9_training"]["resnet50"]
    published = training["shared"] | training["cars196"]
    # Table 9 gives the searched lambda_s, Table 2 the method's own, which is the default.
    published["lambda_s"] = 1.0
    del published["epochs"]
    own = {"distance": "mahalanobis", "images_per_class": 0, "flip": True}
    assert HIST.complete({}).values() == HIST.defaults == published | own


@pytest.mark.parametrize("name", HIST.names)
def test_default_is_valid_and_what_is_allowed_has_words(name: str) -> None:
    if name in OF_THE_BACKBONE:
        assert name not in HIST.defaults
    else:
        assert HIST.is_valid_value(name, HIST.defaults[name])
    assert HIST.allowed_values(name)


def test_ranges_make_sense_for_numbers_only() -> None:
    assert {name for name in HIST.names if not HIST.is_numeric(name)} == WORDS | SWITCHES


def test_whole_numbers_are_told_from_other_numbers() -> None:
    assert {name for name in HIST.names if HIST.is_whole(name, (1, 2))} == WHOLE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lambda_s", 0),
        ("alpha", 0.0),
        ("tau", 32),
        ("tau", 0.1),
        ("lr", 0.0),
        ("lr_gamma", 1),
        ("batch_size", 2),
        ("images_per_class", 0),
        ("warmup_epochs", 0),
        ("distance", "euclidean"),
        ("distance", "cosine"),
        ("distance", "manhattan"),
        ("optimizer", "adamw"),
        ("bn_freeze", False),
        ("image_size", 1),
        ("image_size", 1024),
        ("min_crop_area", 1),
        ("flip", False),
    ],
)
def test_value_on_the_edge_of_its_bounds_is_valid(name: str, value: object) -> None:
    assert HIST.is_valid_value(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lambda_s", -0.1),
        ("tau", 0),
        ("tau", "32"),
        ("tau", True),
        ("tau", math.nan),
        ("tau", math.inf),
        ("lr_gamma", 0),
        ("lr_gamma", 1.1),
        ("batch_size", 1),
        ("batch_size", 32.0),
        ("batch_size", True),
        ("images_per_class", -1),
        ("lr_step", 0),
        ("distance", "hamming"),
        ("optimizer", "Adam"),
        ("bn_freeze", 1),
        ("bn_freeze", None),
        ("image_size", 0),
        ("image_size", 1025),
        ("image_size", 32.0),
        ("image_size", None),
        ("min_crop_area", 0),
        ("min_crop_area", 1.1),
        ("min_crop_area", None),
        ("flip", 0),
    ],
)
def test_value_of_another_type_or_out_of_bounds_is_not_valid(name: str, value: object) -> None:
    assert not HIST.is_valid_value(name, value)


def test_images_per_class_may_divide_batch_size() -> None:
    assert HIST.complete({"batch_size": 32, "images_per_class": 4}).training.images_per_class == 4


def test_images_per_class_must_divide_batch_size() -> None:
    with pytest.raises(ValidationError, match="images_per_class 5 does not divide batch_size 32"):
        HIST.complete({"batch_size": 32, "images_per_class": 5})


def test_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValidationError, match="temperature"):
        HIST.complete({"temperature": 16})


def test_input_images_are_the_backbones_but_for_what_is_named() -> None:
    own = find_backbone("resnet50").preprocessing
    assert HIST.complete({}).preprocessing(own) == own
    changed = HIST.complete({"image_size": 96, "min_crop_area": 0.5, "flip": False})
    # 96 · 256 / 224 = 109.7
    assert changed.preprocessing(own) == replace(
        own, resize=110, crop=96, min_crop_area=0.5, flip=False
    )


def test_the_largest_images_can_be_read_back_from_a_checkpoint() -> None:
    for backbone in BACKBONES.values():
        largest = HIST.complete({"image_size": 1024}).preprocessing(backbone.preprocessing)
        assert TypeAdapter(Preprocessing).validate_python(largest) == largest
        assert TypeAdapter(Preprocessing).validate_python(asdict(largest)) == largest
