import json
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from histsearch.exceptions import SpaceError
from histsearch.losses.hist_record import HISTParameters
from histsearch.space.known_parameters import known_parameters
from histsearch.space.names import NAME_ALLOWED
from histsearch.space.parameters import Range
from histsearch.space.reading import builtin_spaces, load_space, parse_space
from histsearch.space.space import Protocol, Space

FULL = """
name = "own-birds.v2"
dataset = "folder:birds"
backbone = "resnet50"
weights = "weights/own.pth"
epochs = 20
trials = 40
max_retries = 0
on_bad_image = "skip"
precision = "bf16"
determinism = "fast"
image_size_cap = 320

[search]
tau = [16, 24.5, 32]
distance = ["mahalanobis", "cosine"]
bn_freeze = [true, false]
lr = {low = 1e-5, high = 1e-3, log = true}
alpha = {low = 0.9, high = 1.2, step = 0.1}
batch_size = {low = 16, high = 64, step = 16}

[fixed]
images_per_class = 4
optimizer = "adamw"

[protocol]
validation = "test"
validation_fraction = 0.2
seed = 7

[[enqueue]]
tau = 32
alpha = 1.1
batch_size = 48

[[enqueue]]
lr = 1e-4
"""

SMALL: dict[str, Any] = {
    "name": "own",
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": 5,
    "trials": 12,
    "search": {"tau": [4, 8]},
}

LIST_OR_TABLE = "a list of values, each a number > 0, or a table {low, high, log, step}"
TABLE = "a table {low, high, log, step} with low and high numbers, log true or false"
BATCH_SIZE = "a whole number from 2 to 65536"
WHOLE_STEP = "a step > 0, whole for whole numbers"
ANY_NAME = "one of " + ", ".join(known_parameters(HISTParameters).names)
FAIL_OR_SKIP = '"fail" or "skip" (leave out images that can\'t be read)'
DIVIDES = "0 (no class balancing) or a whole number that divides batch_size"
TOP_LEVEL = (
    "name, dataset, backbone, weights, loss, epochs, trials, sampler, pruner, gpu_hours, decided, "
    "max_retries, on_bad_image, precision, determinism, image_size_cap, search, fixed, protocol, "
    "enqueue, baseline"
)

LATER_KEYS = {
    "max_retries": 3,
    "on_bad_image": "fail",
    "precision": "fp32",
    "determinism": "exact",
    "image_size_cap": None,
}


def refusal(table: dict[str, Any]) -> str:
    with pytest.raises(SpaceError) as error:
        parse_space(table, source="own.toml")
    return str(error.value)


def small(**changes: Any) -> Space:
    return parse_space(SMALL | changes, source="own.toml")


@pytest.fixture
def full(tmp_path: Path) -> Space:
    path = tmp_path / "birds.toml"
    path.write_text(FULL)
    return load_space(str(path))


def test_full_space_is_read_from_its_file(full: Space) -> None:
    assert full.name == "own-birds.v2"
    assert full.dataset == "folder:birds"
    assert full.backbone == "resnet50"
    assert full.weights == "weights/own.pth"
    assert (full.epochs, full.trials) == (20, 40)
    assert (full.max_retries, full.on_bad_image, full.image_size_cap) == (0, "skip", 320)
    assert (full.precision, full.determinism) == ("bf16", "fast")
    assert full.search == {
        "tau": (16, 24.5, 32),
        "distance": ("mahalanobis", "cosine"),
        "bn_freeze": (True, False),
        "lr": Range(low=1e-5, high=1e-3, log=True),
        "alpha": Range(low=0.9, high=1.2, step=0.1),
        "batch_size": Range(low=16, high=64, step=16),
    }
    assert full.fixed == {"images_per_class": 4, "optimizer": "adamw"}
    assert full.protocol == Protocol(validation="test", validation_fraction=0.2, seed=7)
    assert full.enqueue == ({"tau": 32, "alpha": 1.1, "batch_size": 48}, {"lr": 1e-4})


def test_space_survives_the_way_through_json(full: Space) -> None:
    restored = Space.model_validate(json.loads(json.dumps(full.model_dump(mode="json"))))
    assert restored == full
    assert [type(value) for value in restored.search["tau"]] == [int, float, int]


def test_short_space_gets_the_defaults() -> None:
    space = small()
    assert space.fixed == {}
    assert space.enqueue == ()
    assert space.protocol == Protocol(validation="held-out", validation_fraction=0.25, seed=0)
    assert (space.max_retries, space.on_bad_image, space.image_size_cap) == (3, "fail", None)
    assert (space.precision, space.determinism) == ("fp32", "exact")


def test_space_stored_before_there_were_these_keys_is_read(full: Space) -> None:
    stored = full.model_dump(mode="json", exclude=set(LATER_KEYS))
    restored = Space.model_validate(json.loads(json.dumps(stored)))
    assert restored == full.model_copy(update=LATER_KEYS)


@pytest.mark.parametrize(
    ("backbone", "weights"),
    [("resnet50", "pretrained"), ("bn_inception", "pretrained"), ("conv4", "none")],
)
def test_weights_left_out_are_those_usual_for_the_backbone(backbone: str, weights: str) -> None:
    assert small(backbone=backbone).weights == weights


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"colour": 1}, f"colour: found an unknown key, allowed: {TOP_LEVEL}"),
        (
            {"name": "-birds"},
            f'name: found "-birds", allowed: {NAME_ALLOWED}',
        ),
        (
            {"dataset": "cub"},
            "dataset: There is no data set 'cub': choose one of glyphs, folder, "
            "folder:SUBFOLDER, cub200, cars196, sop and inshop.",
        ),
        (
            {"dataset": "folder:../secret"},
            "dataset: The data set 'folder:../secret' names no folder inside the data directory: "
            "write folder:SUBFOLDER with a relative path and without '..'.",
        ),
        ({"dataset": 3}, "dataset: found 3, allowed: a data set's name"),
        (
            {"backbone": "vgg"},
            "backbone: backbone 'vgg' isn't known; known are resnet50, bn_inception, "
            "conv4, and timm:NAME for a model of timm such as timm:resnet18",
        ),
        ({"backbone": ["conv4"]}, 'backbone: found ["conv4"], allowed: a backbone\'s name'),
        (
            {"backbone": "conv4", "weights": "pretrained"},
            'weights: found "pretrained", allowed: "none" or a weights file, as there are none for '
            "conv4",
        ),
        (
            {"weights": ""},
            'weights: found "", allowed: "pretrained", "none" (random initialisation) or a weights '
            "file",
        ),
        ({"epochs": "5"}, 'epochs: found "5", allowed: a whole number from 1 to 10000'),
        ({"epochs": 0}, "epochs: found 0, allowed: a whole number from 1 to 10000"),
        ({"trials": True}, "trials: found true, allowed: a whole number from 1 to 100000"),
        ({"trials": 1.5}, "trials: found 1.5, allowed: a whole number from 1 to 100000"),
        ({"max_retries": -1}, "max_retries: found -1, allowed: a whole number from 0 to 1000"),
        ({"max_retries": True}, "max_retries: found true, allowed: a whole number from 0 to 1000"),
        ({"max_retries": 1.0}, "max_retries: found 1.0, allowed: a whole number from 0 to 1000"),
        ({"max_retries": "3"}, 'max_retries: found "3", allowed: a whole number from 0 to 1000'),
        ({"on_bad_image": "ignore"}, f'on_bad_image: found "ignore", allowed: {FAIL_OR_SKIP}'),
        ({"on_bad_image": True}, f"on_bad_image: found true, allowed: {FAIL_OR_SKIP}"),
        (
            {"precision": "fp16"},
            'precision: found "fp16", allowed: "fp32" or "bf16" (autocast to bfloat16, weights and '
            "loss in float32)",
        ),
        (
            {"determinism": True},
            'determinism: found true, allowed: "exact" (a GPU repeats a run bit for bit) or "fast"',
        ),
        (
            {"image_size_cap": 15},
            "image_size_cap: found 15, allowed: a whole number from 16 to 2048 (pixels)",
        ),
        (
            {"image_size_cap": 320.0},
            "image_size_cap: found 320.0, allowed: a whole number from 16 to 2048 (pixels)",
        ),
    ],
)
def test_top_level_key_that_cannot_be_used_is_refused(
    changes: dict[str, Any], expected: str
) -> None:
    assert refusal(SMALL | changes) == f"own.toml: {expected}"


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({}, "search: found {}, allowed: a table of at least one parameter"),
        ([4], "search: found [4], allowed: a table of at least one parameter"),
        ({"taus": [4]}, f'search: found "taus", allowed: did you mean "tau"? {ANY_NAME}'),
        ({"colour": [4]}, f'search: found "colour", allowed: {ANY_NAME}'),
        ({"tau": 4}, f"search.tau: found 4, allowed: {LIST_OR_TABLE}"),
        ({"tau": "4"}, f'search.tau: found "4", allowed: {LIST_OR_TABLE}'),
        ({"tau": []}, "search.tau: found [], allowed: a list of at least one value"),
        ({"tau": ["4"]}, 'search.tau: found "4", allowed: a number > 0'),
        ({"tau": [4, 0]}, "search.tau: found 0, allowed: a number > 0"),
        ({"tau": [4, 8, 4.0]}, "search.tau: found [4, 8, 4.0], allowed: every value once"),
        (
            {"batch_size": [True]},
            "search.batch_size: found true, allowed: a whole number from 2 to 65536",
        ),
        (
            {"batch_size": [8.0]},
            "search.batch_size: found 8.0, allowed: a whole number from 2 to 65536",
        ),
        (
            {"distance": ["hamming"]},
            'search.distance: found "hamming", allowed: "mahalanobis", "euclidean", "cosine" or '
            '"manhattan"',
        ),
        ({"bn_freeze": [1]}, "search.bn_freeze: found 1, allowed: true or false"),
    ],
)
def test_searched_list_that_cannot_be_used_is_refused(search: Any, expected: str) -> None:
    assert refusal(SMALL | {"search": search}) == f"own.toml: {expected}"


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({"tau": {"low": 4}}, f"search.tau: found {{low = 4}}, allowed: {TABLE}"),
        (
            {"tau": {"low": 4, "high": "8"}},
            f'search.tau: found {{low = 4, high = "8"}}, allowed: {TABLE}',
        ),
        (
            {"tau": {"low": 4, "high": True}},
            f"search.tau: found {{low = 4, high = true}}, allowed: {TABLE}",
        ),
        (
            {"tau": {"low": 4, "high": 8, "base": 2}},
            f"search.tau: found {{low = 4, high = 8, base = 2}}, allowed: {TABLE}",
        ),
        ({"tau": {"low": 0, "high": 8}}, "search.tau: found 0, allowed: a number > 0"),
        (
            {"batch_size": {"low": 8.0, "high": 64}},
            "search.batch_size: found 8.0, allowed: a whole number from 2 to 65536",
        ),
        (
            {"tau": {"low": 8, "high": 4}},
            "search.tau: found low 8, high 4, allowed: low below high",
        ),
        (
            {"tau": {"low": 8, "high": 8}},
            "search.tau: found low 8, high 8, allowed: low below high",
        ),
        (
            {"lr": {"low": 0, "high": 1, "log": True}},
            "search.lr: found low 0 with log, allowed: low > 0 on a log scale",
        ),
        (
            {"batch_size": {"low": 8, "high": 64, "log": True, "step": 8}},
            "search.batch_size: found step 8 with log, allowed: either step or log, not both",
        ),
        (
            {"batch_size": {"low": 8, "high": 60, "step": 8}},
            "search.batch_size: found low 8, high 60, step 8, allowed: a step that leads from "
            "low exactly to high",
        ),
        (
            {"alpha": {"low": 0.9, "high": 1.2, "step": 0.25}},
            "search.alpha: found low 0.9, high 1.2, step 0.25, allowed: a step that leads from "
            "low exactly to high",
        ),
        (
            {"batch_size": {"low": 8, "high": 64, "step": 8.0}},
            f"search.batch_size: found step 8.0, allowed: {WHOLE_STEP}",
        ),
        (
            {"tau": {"low": 4, "high": 8, "step": 0}},
            f"search.tau: found step 0, allowed: {WHOLE_STEP}",
        ),
        (
            {"tau": {"low": 4, "high": 8, "step": float("inf")}},
            f"search.tau: found step inf, allowed: {WHOLE_STEP}",
        ),
        (
            {"distance": {"low": 1, "high": 2}},
            "search.distance: found {low = 1, high = 2}, allowed: a list of values, each "
            '"mahalanobis", "euclidean", "cosine" or "manhattan"',
        ),
    ],
)
def test_searched_range_that_cannot_be_used_is_refused(
    search: dict[str, Any], expected: str
) -> None:
    assert refusal(SMALL | {"search": search}) == f"own.toml: {expected}"


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        ([1], "fixed: found [1], allowed: a table of parameters"),
        ({"lrr": 1}, f'fixed: found "lrr", allowed: did you mean "lr"? {ANY_NAME}'),
        ({"lr": "0.1"}, 'fixed.lr: found "0.1", allowed: a number >= 0'),
        ({"lr": [0.1]}, "fixed.lr: found [0.1], allowed: a number >= 0"),
        (
            {"batch_size": True},
            "fixed.batch_size: found true, allowed: a whole number from 2 to 65536",
        ),
        (
            {"batch_size": 8.0},
            "fixed.batch_size: found 8.0, allowed: a whole number from 2 to 65536",
        ),
        (
            {"tau": 4},
            "fixed.tau: found 4, allowed: each parameter in [search] or [fixed] once",
        ),
    ],
)
def test_fixed_parameter_that_cannot_be_used_is_refused(fixed: Any, expected: str) -> None:
    assert refusal(SMALL | {"fixed": fixed}) == f"own.toml: {expected}"


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (3, "protocol: found 3, allowed: a table {validation, ...}"),
        (
            {"fraction": 0.2},
            "protocol.fraction: found an unknown key, allowed: validation, folds, "
            "validation_fraction, seed, objective",
        ),
        (
            {"validation": "train"},
            'protocol.validation: found "train", allowed: "held-out" (classes held out of the '
            'training half) or "test" (the paper\'s)',
        ),
        (
            {"validation_fraction": 1.0},
            "protocol.validation_fraction: found 1.0, allowed: a number between 0 and 1 (part of "
            "the training classes)",
        ),
        (
            {"validation_fraction": "half"},
            'protocol.validation_fraction: found "half", allowed: a number between 0 and 1 (part '
            "of the training classes)",
        ),
        (
            {"objective": "recall"},
            'protocol.objective: found "recall", allowed: did you mean "r_at_1"? "r_at_1" (or '
            'another K), "map_at_r", "r_precision"',
        ),
        (
            {"objective": 1},
            'protocol.objective: found 1, allowed: "r_at_1" (or another K), "map_at_r", '
            '"r_precision"',
        ),
        ({"seed": -1}, "protocol.seed: found -1, allowed: a whole number from 0 to 4294967295"),
        ({"seed": 1.5}, "protocol.seed: found 1.5, allowed: a whole number from 0 to 4294967295"),
    ],
)
def test_protocol_that_cannot_be_used_is_refused(protocol: Any, expected: str) -> None:
    assert refusal(SMALL | {"protocol": protocol}) == f"own.toml: {expected}"


def test_a_space_maximises_recall_at_1_unless_it_names_another_objective() -> None:
    kept = small().model_dump(mode="json")
    del kept["protocol"]["objective"]  # a study from before there was a choice
    assert Space.model_validate(kept) == small()
    labels = [
        small(protocol=table).protocol.metric.label
        for table in ({}, {"objective": "r_at_4"}, {"objective": "map_at_r"})
    ]
    assert labels == ["R@1", "R@4", "MAP@R"]


@pytest.mark.parametrize(
    ("search", "configuration", "expected"),
    [
        (
            {"tau": [4], "alpha": [1]},
            {},
            "enqueue[0]: found nothing, allowed: values for tau, alpha",
        ),
        (
            {"tau": [4], "alpha": [1]},
            {"lr": 1},
            'enqueue[0]: found "lr", allowed: searched parameters: tau, alpha',
        ),
        ({"tau": [4, 8]}, {"tau": 5}, "enqueue[0].tau: found 5, allowed: one of [4, 8]"),
        (
            {"tau": [8, 16]},
            {"tau": [8, 16]},
            "enqueue[0].tau: found [8, 16], allowed: one value, of 8, 16",
        ),
        (
            {"bn_freeze": [True, False]},
            {"bn_freeze": 1},
            "enqueue[0].bn_freeze: found 1, allowed: one of [true, false]",
        ),
        (
            {"lr": {"low": 0.01, "high": 0.1, "log": True}},
            {"lr": 0.2},
            "enqueue[0].lr: found 0.2, allowed: 0.01 to 0.1, log scale",
        ),
        (
            {"tau": {"low": 4, "high": 8, "step": 2}},
            {"tau": 5},
            "enqueue[0].tau: found 5, allowed: 4 to 8 in steps of 2",
        ),
        (
            {"batch_size": {"low": 8, "high": 64}},
            {"batch_size": 32.0},
            "enqueue[0].batch_size: found 32.0, allowed: 8 to 64",
        ),
        (
            {"tau": {"low": 4, "high": 8}},
            {"tau": "5"},
            'enqueue[0].tau: found "5", allowed: 4 to 8',
        ),
    ],
)
def test_enqueued_configuration_outside_the_space_is_refused(
    search: dict[str, Any], configuration: dict[str, Any], expected: str
) -> None:
    table = SMALL | {"search": search, "enqueue": [configuration]}
    assert refusal(table) == f"own.toml: {expected}"


@pytest.mark.parametrize(
    ("enqueue", "key"),
    [({"tau": 4}, "enqueue"), ([4], "enqueue[0]"), ([{"tau": [4]}], "enqueue[0].tau")],
)
def test_enqueue_of_another_form_is_refused_in_one_line(enqueue: Any, key: str) -> None:
    message = refusal(SMALL | {"enqueue": enqueue})
    assert message.startswith(f"own.toml: {key}: found ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("search", "fixed", "found"),
    [
        ({"batch_size": [8, 16, 30]}, {"images_per_class": 4}, "4 with batch_size 30"),
        ({"images_per_class": [0, 4, 5]}, {"batch_size": 16}, "5 with batch_size 16"),
        ({"tau": [4]}, {"images_per_class": 5}, "5 with batch_size 32"),
        ({"batch_size": {"low": 8, "high": 16}}, {"images_per_class": 4}, "4 with batch_size 9"),
        (
            {"batch_size": {"low": 8, "high": 12, "step": 4}},
            {"images_per_class": 8},
            "8 with batch_size 12",
        ),
    ],
)
def test_images_per_class_must_divide_every_batch_size(
    search: dict[str, Any], fixed: dict[str, Any], found: str
) -> None:
    message = refusal(SMALL | {"search": search, "fixed": fixed})
    assert message == f"own.toml: images_per_class: found {found}, allowed: {DIVIDES}"


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("name", NAME_ALLOWED),
        ("dataset", "a data set's name"),
        ("backbone", "a backbone's name"),
        ("epochs", "a whole number from 1 to 10000"),
        ("trials", "a whole number from 1 to 100000"),
        ("search", "a table of parameters"),
    ],
)
def test_missing_key_is_refused(key: str, allowed: str) -> None:
    table = {name: value for name, value in SMALL.items() if name != key}
    assert refusal(table) == f"own.toml: {key}: found nothing, allowed: {allowed}"


def test_every_problem_has_its_own_line() -> None:
    changes = {"colour": 1, "epochs": 0, "search": {"tau": []}, "fixed": {"lr": "a"}}
    assert set(refusal(SMALL | changes).splitlines()) == {
        f"own.toml: colour: found an unknown key, allowed: {TOP_LEVEL}",
        "own.toml: epochs: found 0, allowed: a whole number from 1 to 10000",
        "own.toml: search.tau: found [], allowed: a list of at least one value",
        'own.toml: fixed.lr: found "a", allowed: a number >= 0',
    }


def test_no_fault_hides_another() -> None:
    table = {
        "name": "own birds",
        "dataset": "folder:../secret",
        "backbone": "conv4",
        "weights": "pretrained",
        "epochs": 5,
        "trials": 12,
        "sampler": "tpe",
        "pruner": {"name": "halving", "min_epochs": 9, "reduction_factor": 1, "depth": 3},
        "decided": {"delta": 1},
        "search": {
            "lamda_s": [0.5, 1.0],
            "tau": "16-32",
            "alpha": {"low": -1, "high": -2},
            "lr": [1e-4, "1e-3", -1],
            "bn_freeze": [True, False],
            "images_per_class": [5],
        },
        "fixed": {"batch_sise": 30, "lr_gamma": 2, "bn_freeze": False, "tau": 4},
        "enqueue": [3, {"lamda_s": 1.0}, {"lambda_s": 1.0, "bn_freeze": 7}],
    }
    names = "one of " + ", ".join(known_parameters(HISTParameters).names)
    assert set(refusal(table).splitlines()) == {
        f"own.toml: {line}"
        for line in (
            f'name: found "own birds", allowed: {NAME_ALLOWED}',
            "dataset: The data set 'folder:../secret' names no folder inside the data directory: "
            "write folder:SUBFOLDER with a relative path and without '..'.",
            'weights: found "pretrained", allowed: "none" or a weights file, as there are none for '
            "conv4",
            "pruner.reduction_factor: found 1, allowed: a whole number from 2 to 1000",
            'pruner: found "depth", allowed: a table of name, min_epochs, reduction_factor',
            "decided: found {delta = 1.0, epsilon = 0.05}, allowed: with the sampler "
            '"freeze-thaw" alone, not "tpe"',
            f'search: found "lamda_s", allowed: did you mean "lambda_s"? {names}',
            f'search.tau: found "16-32", allowed: {LIST_OR_TABLE}',
            "search.alpha: found -1, allowed: a number >= 0",
            "search.alpha: found -2, allowed: a number >= 0",
            'search.lr: found "1e-3", allowed: a number >= 0',
            "search.lr: found -1, allowed: a number >= 0",
            f'fixed: found "batch_sise", allowed: did you mean "batch_size"? {names}',
            "fixed.lr_gamma: found 2, allowed: a number in (0, 1]",
            "fixed.bn_freeze: found false, allowed: each parameter in [search] or [fixed] once",
            "fixed.tau: found 4, allowed: each parameter in [search] or [fixed] once",
            "enqueue[0]: found 3, allowed: tables [[enqueue]] of searched parameters",
            f'enqueue[1]: found "lamda_s", allowed: did you mean "lambda_s"? {names}',
            "enqueue[2].bn_freeze: found 7, allowed: one of [true, false]",
        )
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # With the misspelt batch_size corrected, 5 images a class may well divide it.
        (
            {"search": {"batch_sise": [10], "images_per_class": [5]}},
            [f'search: found "batch_sise", allowed: did you mean "batch_size"? {ANY_NAME}'],
        ),
        # With the misspelt list corrected, the grid may well have 12 points.
        (
            {"sampler": "grid", "search": {"tua": [1, 2, 3, 4, 5, 6], "alpha": [1, 2]}},
            [f'search: found "tua", allowed: did you mean "tau"? {ANY_NAME}'],
        ),
        # Without its sampler it can't be told whether the others go with it.
        (
            {"sampler": "grdi", "pruner": "freeze-thaw", "decided": {}},
            [
                'sampler: found "grdi", allowed: "freeze-thaw", "tpe", "gp", "grid", "random", or '
                "a table {name, ...} of one of them with its settings"
            ],
        ),
    ],
)
def test_what_only_follows_from_a_fault_is_none(changes: Any, expected: list[str]) -> None:
    assert refusal(SMALL | changes).splitlines() == [f"own.toml: {line}" for line in expected]


def test_faults_without_end_are_counted() -> None:
    lines = refusal(SMALL | {f"key{number}": 1 for number in range(1000)}).splitlines()
    assert len(lines) == 31
    assert lines[-1] == "own.toml: 970 more"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 10**6}, "epochs: found 1000000, allowed: a whole number from 1 to 10000"),
        ({"trials": 2**63}, f"trials: found {2**63}, allowed: a whole number from 1 to 100000"),
        (
            {"fixed": {"batch_size": 10**23}},
            f"fixed.batch_size: found {10**23}, allowed: {BATCH_SIZE}",
        ),
        (
            {"search": {"embedding_size": {"low": 64, "high": 2**31}}},
            f"search.embedding_size: found {2**31}, allowed: a whole number from 2 to 65536",
        ),
        ({"search": {"tau": [1, float("nan")]}}, "search.tau: found nan, allowed: a number > 0"),
        (
            {"search": {"tau": list(range(1, 1002))}},
            "search.tau: found 1,001 values, allowed: a list of up to 1,000 values",
        ),
        (
            {"search": {"alpha": {"low": 0.0, "high": 1.0, "step": 2.0**-30}}},
            f"search.alpha: found step {2.0**-30}, allowed: a step that leads to high in up to "
            "1,000,000 steps",
        ),
        (
            {"enqueue": [{"tau": 4}] * 1001},
            "enqueue: found 1,001 tables, allowed: up to 1,000",
        ),
        (
            {"dataset": "folder:" + "a" * 5000},
            "dataset: found 5,007 characters, allowed: up to 1,000 characters",
        ),
        (
            {"weights": "w" * 5000},
            "weights: found 5,000 characters, allowed: up to 1,000 characters",
        ),
        (
            {"backbone": "timm:" + "a" * 5000},
            "backbone: found 5,005 characters, allowed: up to 1,000 characters",
        ),
        (
            {"dataset": "folder:a\0b"},
            'dataset: found "folder:a\0b", allowed: text without control characters and invisible '
            "marks",
        ),
        (
            {"weights": "own\x1b[2J\u202e.pth"},
            'weights: found "own\x1b[2J\u202e.pth", allowed: text without control characters and '
            "invisible marks",
        ),
    ],
)
def test_what_is_too_large_long_or_odd_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert refusal(SMALL | changes) == f"own.toml: {expected}"


@pytest.mark.parametrize(
    "value",
    [int("f" * 50_000, 16), [[[[[[1]]]]]], "x" * 100_000, {"a": {"b": {"c": {"d": 1}}}}],
    ids=["number", "list", "text", "table"],
)
def test_a_value_of_any_size_is_refused_in_a_line_of_some_length(value: object) -> None:
    message = refusal(SMALL | {"trials": value, "fixed": {"lr": value}, "search": {"tau": value}})
    assert message.count("\n") == 2
    assert all(len(line) < 400 for line in message.splitlines())


def test_a_range_with_a_step_without_end_is_refused() -> None:
    huge = {"alpha": {"low": 0.1, "high": 1.0, "step": 10**400}}
    assert "a step that leads from low exactly to high" in refusal(SMALL | {"search": huge})


def test_a_stored_space_is_read_whatever_its_texts_hold(full: Space) -> None:
    stored = full.model_dump(mode="json") | {"dataset": "folder:\x1b[2J", "weights": "w" * 5000}
    assert Space.model_validate(stored).dataset == "folder:\x1b[2J"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_file_that_windows_wrote_is_read(tmp_path: Path, mark: bytes, end: bytes) -> None:
    path = tmp_path / "birds.toml"
    path.write_bytes(mark + FULL.strip().replace("own-birds", "own").encode().replace(b"\n", end))
    assert load_space(str(path)).name == "own.v2"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (("tau = ", "[", 100_000), "hundreds of brackets"),
        (("tau = [", "16, ", 8_000_000), "over 128 KiB"),
        (("search", ".tau", 30_000), "30,000 dots in line 1"),
        (("epochs = ", "1", 5_000), "a number of thousands of digits"),
    ],
)
def test_a_file_beyond_the_limits_is_refused_soon(
    tmp_path: Path, content: tuple[str, str, int], found: str
) -> None:
    path = tmp_path / "birds.toml"
    start, repeated, times = content
    path.write_text(start + repeated * times)
    began = time.process_time()
    with pytest.raises(SpaceError) as error:
        load_space(str(path))
    assert time.process_time() - began < 5
    assert str(error.value).startswith(f"{path}: found {found}")
    assert "\n" not in str(error.value)


def test_a_file_in_utf_16_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "birds.toml"
    path.write_text(FULL, encoding="utf-16")
    with pytest.raises(SpaceError, match=r'found UTF-16, allowed: UTF-8; save the file anew as "U'):
        load_space(str(path))


def test_a_path_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"^can't read a+ \(File name too long\); give another"):
        load_space("a" * 5000)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"protocol": {"folds": 4, "validation": "test"}},
            "protocol.folds: found 4, allowed: 1, as the test classes validate",
        ),
        (
            {"protocol": {"folds": 4, "validation_fraction": 0.2}},
            "protocol.validation_fraction: found 0.2, allowed: 0.25 with 4 folds, or left out",
        ),
        (
            {"protocol": {"folds": 4}, "sampler": "tpe"},
            'protocol.folds: found 4, allowed: 1 with the sampler "tpe", which compares trials of '
            'different folds; or "freeze-thaw" or "grid" or "random"',
        ),
        (
            {"protocol": {"folds": 4}, "pruner": "median"},
            'protocol.folds: found 4, allowed: 1 with the pruner "median", which compares trials '
            'of different folds; or "freeze-thaw" or "none"',
        ),
        (
            {"protocol": {"folds": 21}},
            "protocol.folds: found 21, allowed: a whole number from 1 to 20",
        ),
    ],
)
def test_folds_that_cannot_be_used_are_refused(changes: dict[str, Any], expected: str) -> None:
    assert refusal(SMALL | changes) == f"own.toml: {expected}"


@pytest.mark.parametrize("fraction", [{}, {"validation_fraction": 0.33}])
def test_folds_say_which_part_validates(fraction: dict[str, float]) -> None:
    space = parse_space({**SMALL, "protocol": {"folds": 3, **fraction}}, source="birds.toml")
    assert space.protocol.folds == 3
    assert space.protocol.validation_fraction == pytest.approx(1 / 3, abs=0.004)
    assert Space.model_validate(space.model_dump(mode="json")) == space


def test_problem_in_a_file_is_told_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "birds.toml"
    path.write_text(FULL.replace("epochs = 20", "epochs = 0"))
    with pytest.raises(SpaceError) as error:
        load_space(str(path))
    assert str(error.value) == f"{path}: epochs: found 0, allowed: a whole number from 1 to 10000"


@pytest.mark.parametrize("content", [b'name = "own\n', b'name = "\xff"\n'])
def test_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(SpaceError) as error:
        load_space(str(path))
    assert str(error.value).startswith(f"{path}: not a TOML file: ")


def test_missing_file_is_refused_with_the_names_of_the_built_in_spaces(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.toml"
    with pytest.raises(SpaceError) as error:
        load_space(str(path))
    assert str(error.value) == (
        f'found no space "{path}"; give the path of a TOML file or one of: '
        + ", ".join(builtin_spaces())
    )


def test_configuration_of_a_trial_goes_over_the_fixed_parameters(full: Space) -> None:
    complete = full.complete({"tau": 24.5, "batch_size": 48})
    assert (complete.loss["tau"], complete.training.batch_size) == (24.5, 48)
    assert (complete.training.optimizer, complete.training.images_per_class) == ("adamw", 4)
    assert complete.loss["hgnn_layers"] == 2


@pytest.mark.parametrize(
    "configuration",
    [
        {"tau": 24.5},
        {"distance": "cosine", "bn_freeze": False},
        {"lr": 1e-5},
        {"lr": 1e-3},
        {"alpha": 1.1, "batch_size": 64},
    ],
)
def test_configuration_inside_the_space_is_accepted(
    full: Space, configuration: dict[str, Any]
) -> None:
    full.check_configuration(configuration)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("tau = 17", "configuration.tau: found 17, allowed: one of [16, 24.5, 32]"),
        ("alpha = 1.15", "configuration.alpha: found 1.15, allowed: 0.9 to 1.2 in steps of 0.1"),
        (
            "alpha = [1.1]",
            "configuration.alpha: found [1.1], allowed: one value, 0.9 to 1.2 in steps of 0.1",
        ),
        ("tau = [16]", "configuration.tau: found [16], allowed: one value, of 16, 24.5, 32"),
    ],
)
def test_configuration_outside_the_space_is_refused(
    full: Space, assignment: str, expected: str
) -> None:
    with pytest.raises(SpaceError) as error:
        full.check_configuration(tomllib.loads(assignment))
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("backbone", "tables", "lines"),
    [
        (
            "conv4",
            {"search": {"image_size": [32, 15, 8]}},
            ["search.image_size: found 15, allowed: for conv4 16 or more"],
        ),
        (
            "conv4",
            {"search": {"image_size": {"low": 8, "high": 32, "step": 8}}},
            ["search.image_size: found 8 of 8 to 32 in steps of 8, allowed: for conv4 16 or more"],
        ),
        (
            "bn_inception",
            {"search": {"image_size": {"low": 64, "high": 224, "log": True}}},
            [
                "search.image_size: found 65 of 64 to 224, log scale, "
                "allowed: for bn_inception a multiple of 32"
            ],
        ),
        (
            "bn_inception",
            {"fixed": {"image_size": 100}, "epochs": 0},
            [
                "epochs: found 0, allowed: a whole number from 1 to 10000",
                "fixed.image_size: found 100, allowed: for bn_inception a multiple of 32",
            ],
        ),
        (
            "resnet50",
            {"fixed": {"image_size": 2048}},
            [
                "fixed.image_size: found 2048, allowed: a whole number from 1 to 1024 (pixels)",
            ],
        ),
    ],
)
def test_images_that_a_backbone_cannot_take_are_refused_by_name(
    backbone: str, tables: dict[str, Any], lines: list[str]
) -> None:
    with pytest.raises(SpaceError) as error:
        parse_space({**SMALL, "backbone": backbone, **tables}, source="own.toml")
    assert str(error.value).splitlines() == [f"own.toml: {line}" for line in lines]


def test_the_input_is_searched_like_anything_else() -> None:
    search = {
        "image_size": {"low": 64, "high": 224, "step": 32},
        "min_crop_area": {"low": 0.08, "high": 1.0},
        "flip": [True, False],
    }
    space = parse_space({**SMALL, "backbone": "bn_inception", "search": search}, source="own.toml")
    complete = space.complete({"image_size": 96, "min_crop_area": 0.5, "flip": False})
    assert (complete.training.image_size, complete.training.flip) == (96, False)
