import tomllib

import pytest

from histsearch.space.reading import builtin_spaces, load_space, parse_space
from histsearch.space.space import Space
from histsearch.space.writing import space_toml


def read_again(space: Space) -> Space:
    return parse_space(tomllib.loads(space_toml(space)), source="test")


@pytest.mark.parametrize(
    "name", [name for name in builtin_spaces() if "/" not in name or name.startswith("claims/")]
)
def test_a_space_is_read_back_as_it_was(name: str) -> None:
    space = load_space(name)
    again = read_again(space)
    assert again == space
    assert list(again.search) == list(space.search), "trials are enumerated in this order"


def test_defaults_are_written_out() -> None:
    table = tomllib.loads(space_toml(load_space("demo")))
    assert table["gpu_hours"] is False
    assert table["decided"] == {"delta": 0.5, "epsilon": 0.05}
    assert table["protocol"]["validation_fraction"] == 0.25
    assert table["sampler"] == {"name": "freeze-thaw"}


def test_texts_ranges_and_switches_are_toml() -> None:
    space = load_space("demo")
    odd = parse_space(
        {
            **space.model_dump(mode="json", exclude_none=True),
            "weights": 'a "quoted"\\ name = é',
            "decided": False,
            "search": {
                "lr": {"low": 1e-5, "high": 3e-4, "log": True},
                "optimizer": ["adam", "adamw"],
                "bn_freeze": [True, False],
            },
            "fixed": {"tau": 32},
            "enqueue": [],
        },
        source="test",
    )
    assert read_again(odd) == odd
