from typing import Any

import pytest

from histsearch.space.likeness import Tuning, differences, same_hyperparameters
from histsearch.space.reading import builtin_spaces, load_space, parse_space
from histsearch.space.space import Decided, Space

LR = {"low": 1e-4, "high": 1e-2, "log": True}
COMMON: dict[str, Any] = {
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": 6,
    "trials": 16,
    "decided": False,
    "fixed": {"embedding_size": 64, "batch_size": 64, "images_per_class": 4},
    "protocol": {"folds": 4},
}
HIST = {**COMMON, "name": "hist", "search": {"lr": LR, "tau": [8, 16], "alpha": [0.9, 1.1]}}
OTHER = {
    **COMMON,
    "name": "proxy-anchor",
    "loss": {"name": "proxy-anchor"},
    "search": {"lr": LR, "alpha": [8, 16, 32]},
}
FOLDERS = ("reality-check", "reality-check/small")
LOSSES = {"hist", "proxy-anchor", "multi-similarity", "contrastive", "soft-triple"}


def tuning(table: dict[str, Any], **changes: Any) -> Tuning:
    space = parse_space({**table, **changes}, source="s.toml")
    return tuning_of(space)


def tuning_of(space: Space) -> Tuning:
    return Tuning(space, space.trials, space.gpu_hours, space.decided)


def found(table: dict[str, Any]) -> list[str]:
    return [str(one) for one in differences([tuning(HIST), tuning(table)])]


def test_losses_over_their_own_hyperparameters_are_alike() -> None:
    assert found(OTHER) == []
    own = {"enqueue": [{"alpha": 8}], "baseline": [{"name": "usual", "alpha": 32}]}
    assert found({**OTHER, **own, "max_retries": 9}) == []


def test_one_loss_over_other_ranges_is_alike() -> None:
    assert found({**HIST, "search": {"lr": LR, "tau": [32], "lambda_s": [1.0, 2.0]}}) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"dataset": "cub200"}, 'dataset "glyphs" and "cub200"'),
        ({"weights": "conv4.pt"}, 'weights "none" and "conv4.pt"'),
        ({"epochs": 8}, "epochs 6 and 8"),
        ({"trials": 20}, "trials 16 and 20"),
        ({"gpu_hours": 2.0}, "gpu_hours none and 2.0"),
        (
            {"decided": {"delta": 1.0}},
            "decided none and {delta = 1.0, epsilon = 0.05}",
        ),
        ({"on_bad_image": "skip"}, 'on_bad_image "fail" and "skip"'),
        ({"image_size_cap": 64}, "image_size_cap none and 64"),
        ({"precision": "bf16"}, 'precision "fp32" and "bf16"'),
        ({"determinism": "fast"}, 'determinism "exact" and "fast"'),
        (
            {"pruner": {"name": "freeze-thaw", "min_epochs": 3}},
            'pruner "freeze-thaw" and {name = "freeze-thaw", min_epochs = 3}',
        ),
        ({"protocol": {"folds": 4, "seed": 1}}, "protocol.seed 0 and 1"),
        (
            {"protocol": {"folds": 4, "objective": "map_at_r"}},
            'protocol.objective "r_at_1" and "map_at_r"',
        ),
        (
            {"protocol": {"folds": 1, "validation_fraction": 0.25}},
            "protocol.folds 4 and 1",
        ),
    ],
)
def test_what_all_searches_must_share_is_named(changes: dict[str, Any], text: str) -> None:
    assert found({**OTHER, **changes}) == [text]


def test_a_protocol_differs_in_its_classes() -> None:
    (fraction,) = differences(
        [
            tuning(HIST, protocol={"validation_fraction": 0.25}),
            tuning(OTHER, protocol={"validation_fraction": 0.5}),
        ]
    )
    assert str(fraction) == "protocol.validation_fraction 0.25 and 0.5"
    (validation,) = differences(
        [
            tuning(HIST, protocol={"validation": "test"}),
            tuning(OTHER, protocol={"validation": "held-out"}),
        ]
    )
    assert str(validation) == 'protocol.validation "test" and "held-out"'


def test_another_backbone_brings_its_images_along() -> None:
    names = [one.key for one in differences([tuning(HIST), tuning(OTHER, backbone="resnet50")])]
    assert names == ["backbone", "weights", "image_size", "min_crop_area"]


def test_a_sampler_differs_in_its_settings() -> None:
    strategies = [
        {"sampler": {"name": "tpe", "startup_trials": number}, "protocol": {}} for number in (5, 10)
    ]
    (sampler,) = differences(
        [tuning(table, **changes) for table, changes in zip((HIST, OTHER), strategies, strict=True)]
    )
    assert sampler.key == "sampler"
    assert "startup_trials = 5" in sampler.values[0]
    assert "startup_trials = 10" in sampler.values[1]


@pytest.mark.parametrize(
    ("name", "value", "usual"),
    [
        ("embedding_size", 32, 64),
        ("batch_size", 32, 64),
        ("images_per_class", 8, 4),
        ("optimizer", '"adamw"', '"adam"'),
        ("weight_decay", 0.0, 0.0001),
        ("warmup_epochs", 0, 1),
        ("lr_step", 5, 10),
        ("lr_gamma", 0.25, 0.5),
        ("bn_freeze", "false", "true"),
        ("image_size", 48, 32),
        ("min_crop_area", 0.25, 0.5),
        ("flip", "false", "true"),
    ],
)
def test_a_parameter_that_every_loss_has_must_be_the_same(
    name: str, value: object, usual: object
) -> None:
    given = {'"adamw"': "adamw", "false": False}.get(str(value), value)
    fixed = {**COMMON["fixed"], name: given}
    assert found({**OTHER, "fixed": fixed}) == [f"{name} {usual} and {value}"]


def test_a_parameter_that_every_loss_has_is_searched_over_the_same_values() -> None:
    other = {"low": 1e-4, "high": 1e-3, "log": True}
    assert found({**OTHER, "search": {"lr": other, "alpha": [8]}}) == [
        "lr {low = 0.0001, high = 0.01, log = true} and {low = 0.0001, high = 0.001, log = true}"
    ]
    fixed = {**COMMON["fixed"], "lr": 0.001}
    assert found({**OTHER, "search": {"alpha": [8, 16]}, "fixed": fixed}) == [
        "lr {low = 0.0001, high = 0.01, log = true} and 0.001"
    ]


def test_the_order_of_a_list_and_a_list_of_one_value_make_no_difference() -> None:
    def searching(table: dict[str, Any], **values: Any) -> Tuning:
        fixed = {name: one for name, one in COMMON["fixed"].items() if name not in values}
        return tuning(table, search={**table["search"], **values}, fixed=fixed)

    pair = [searching(HIST, batch_size=[16, 64]), searching(OTHER, batch_size=[64, 16])]
    assert differences(pair) == []
    assert differences([tuning(HIST), searching(OTHER, batch_size=[64])]) == []


def test_values_that_differ_late_in_a_long_list_look_different() -> None:
    rates = [round(1e-4 * step, 6) for step in range(1, 101)]
    pair = [tuning(HIST, search={"lr": [*rates, last], "tau": [8]}) for last in (0.5, 0.75)]
    (lr,) = differences(pair)
    assert lr.values[0] != lr.values[1]
    assert "0.75" in lr.values[1]


def test_a_default_and_the_order_of_a_list_make_no_other_hyperparameters() -> None:
    def space(**search: Any) -> Space:
        return parse_space({**HIST, "search": {"lr": LR, **search}}, source="s.toml")

    usual = space().parameters.defaults["alpha"]
    assert same_hyperparameters(space(tau=[8, 16]), space(tau=[16, 8], alpha=[usual]))
    assert not same_hyperparameters(space(tau=[8, 16]), space(tau=[8, 32]))
    assert not same_hyperparameters(space(), space(tau=[8, 16]))


def test_the_backbones_own_value_is_known() -> None:
    fixed = {**COMMON["fixed"], "image_size": 32, "flip": True}
    assert found({**OTHER, "fixed": fixed}) == []


def test_what_a_study_was_set_to_counts() -> None:
    hist, other = tuning(HIST), tuning(OTHER)
    changed: dict[str, dict[str, Any]] = {
        "trials": {"trials": 32},
        "gpu_hours": {"gpu_hours": 1.0},
        "decided": {"decided": Decided()},
        "warm start": {"warm_start": ["earlier"]},
    }
    for key, change in changed.items():
        (found_one,) = differences([hist, other._replace(**change)])
        assert found_one.key == key
    (warm,) = differences([hist, other._replace(warm_start=["earlier"])])
    assert str(warm) == 'warm start none and ["earlier"]'


def test_of_several_searches_each_value_is_given() -> None:
    (epochs,) = differences([tuning(HIST), tuning(OTHER, epochs=8), tuning(OTHER, epochs=9)])
    assert epochs.values == ["6", "8", "9"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_reality_checks_are_alike_and_begin_with_their_authors_configurations(
    folder: str,
) -> None:
    names = [name for name in builtin_spaces() if name.rpartition("/")[0] == folder]
    assert {name.rpartition("/")[2] for name in names} == LOSSES
    spaces = [load_space(name) for name in names]
    assert differences([tuning_of(space) for space in spaces]) == []
    assert len({space.loss.name for space in spaces}) == len(LOSSES)
    for space in spaces:
        assert space.enqueue[0].keys() == space.search.keys()
        assert (space.protocol.folds, space.fixed["images_per_class"]) == (4, 4)
        assert space.decided is None
        space.check_configuration(space.enqueue[0])
