import json
from pathlib import Path
from typing import Any

import pytest

from histsearch.exceptions import SpaceError
from histsearch.space.baselines import BASELINE_TABLES, Baseline
from histsearch.space.names import NAME_ALLOWED
from histsearch.space.reading import load_space, parse_space
from histsearch.space.space import Space

SMALL: dict[str, Any] = {
    "name": "own",
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": 5,
    "trials": 12,
    "search": {"tau": [4, 8]},
    "fixed": {"batch_size": 16},
}
WRITTEN = """
name = "own"
dataset = "glyphs"
backbone = "conv4"
epochs = 5
trials = 12
search = {tau = [4, 8]}

[[baseline]]
name = "authors"
tau = 5.5
lr = 1e-3
epochs = 40

[[baseline]]
name = "usual"
"""


def read(*baselines: Any, **changes: Any) -> Space:
    return parse_space({**SMALL, "baseline": [*baselines], **changes}, source="own.toml")


def refusal(*baselines: Any, **changes: Any) -> list[str]:
    with pytest.raises(SpaceError) as refused:
        read(*baselines, **changes)
    return [line.removeprefix("own.toml: ") for line in str(refused.value).splitlines()]


def test_a_baseline_may_hold_values_and_parameters_that_are_not_searched(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(WRITTEN)
    assert load_space(str(path)).baselines == (
        Baseline("authors", {"tau": 5.5, "lr": 1e-3}, 40),
        Baseline("usual", {}, None),
    )


def test_baselines_survive_the_way_through_json() -> None:
    space = read({"name": "authors", "tau": 5, "epochs": 7}, {"name": "usual"})
    kept = json.loads(json.dumps(space.model_dump(mode="json")))
    assert kept["baseline"] == [{"name": "authors", "tau": 5, "epochs": 7}, {"name": "usual"}]
    assert Space.model_validate(kept) == space


def test_a_space_without_baselines_is_kept_as_before_there_were_any() -> None:
    space = read()
    assert space.baselines == ()
    assert "baseline" not in space.model_dump(mode="json")
    assert "baseline" not in space.model_dump()
    assert Space.model_validate(space.model_dump(mode="json")) == space


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (4, f"baseline[0]: found 4, allowed: {BASELINE_TABLES}"),
        ({"tau": 4}, f"baseline[0].name: found nothing, allowed: {NAME_ALLOWED}"),
        ({"name": "a b"}, f'baseline[0].name: found "a b", allowed: {NAME_ALLOWED}'),
        (
            {"name": "first"},
            'baseline[0].name: found "first", allowed: another name, as this is the first '
            "configuration of the queue",
        ),
        (
            {"name": "authors", "epochs": 0},
            "baseline[0].epochs: found 0, allowed: a whole number from 1 to 10000",
        ),
        (
            {"name": "authors", "epochs": True},
            "baseline[0].epochs: found true, allowed: a whole number from 1 to 10000",
        ),
        (
            {"name": "authors", "tau": "a"},
            'baseline[0].tau: found "a", allowed: a number > 0',
        ),
        (
            {"name": "authors", "image_size": 3},
            "baseline[0].image_size: found 3, allowed: for conv4 16 or more",
        ),
        (
            {"name": "authors", "images_per_class": 5},
            "baseline[0]: found {batch_size = 16, images_per_class = 5}, allowed: values that go "
            "together, but images_per_class 5 does not divide batch_size 16",
        ),
    ],
)
def test_a_baseline_that_cannot_be_trained_is_refused(baseline: Any, expected: str) -> None:
    assert refusal(baseline) == [expected]


def test_a_misspelt_parameter_is_found() -> None:
    (line,) = refusal({"name": "authors", "taau": 4})
    assert line.startswith('baseline[0]: found "taau", allowed: did you mean "tau"? one of ')


def test_names_are_unique() -> None:
    assert refusal({"name": "authors"}, {"name": "authors"}) == [
        'baseline[1].name: found "authors", allowed: each name once'
    ]


def test_a_number_of_baselines_is_limited() -> None:
    many = [{"name": f"n{number}"} for number in range(101)]
    assert refusal(*many) == ["baseline: found 101 tables, allowed: up to 100"]
    with pytest.raises(SpaceError, match=r"baseline: found \{name = "):
        parse_space({**SMALL, "baseline": {"name": "x"}}, source="own.toml")


def test_a_clash_with_a_fixed_value_that_is_refused_itself_is_none() -> None:
    lines = refusal({"name": "authors", "images_per_class": 5}, fixed={"batch_size": "16"})
    assert [line.partition(":")[0] for line in lines] == ["fixed.batch_size"]


def library_space(tmp_path: Path, *baselines: str) -> Space:
    text = (
        'name = "own"\ndataset = "glyphs"\nbackbone = "conv4"\nepochs = 5\ntrials = 12\n'
        'loss = {name = "pml:MultiSimilarityLoss"}\nsearch = {alpha = [2, 4]}\n'
        "fixed = {images_per_class = 4}\n"
    )
    path = tmp_path / "own.toml"
    path.write_text(text + "".join(f"[[baseline]]\n{one}\n" for one in baselines))
    return load_space(str(path))


def test_a_baseline_of_a_foreign_loss_is_tried_and_whole(tmp_path: Path) -> None:
    space = library_space(tmp_path, 'name = "wide"\nbase = 0.7', 'name = "usual"')
    assert [one.values for one in space.baselines] == [{"alpha": 2, "base": 0.7}, {"alpha": 2}]
    for table, fault in (
        (
            'name = "one"\nimages_per_class = 1',
            "baseline[0].images_per_class: found 1, allowed: at",
        ),
        ('name = "off"\nbase = nan', "baseline[0].base: found nan, allowed: a number"),
    ):
        with pytest.raises(SpaceError) as refused:
            library_space(tmp_path, table)
        assert fault in str(refused.value)
