"""Which parameters mattered, in words, and values at the edges of their lists and ranges."""

from typing import Any

import pytest

from histsearch.reports.what_mattered import edge_sentence, shares_text, what_mattered
from histsearch.search.standing import Share
from histsearch.space.parameters import Parameter, Range
from histsearch.space.reading import parse_space
from histsearch.space.space import Space

LOG = Range(low=1e-5, high=3e-4, log=True)


@pytest.fixture
def space() -> Space:
    table: dict[str, Any] = {
        "name": "small",
        "dataset": "glyphs",
        "backbone": "conv4",
        "epochs": 4,
        "trials": 4,
        "search": {"tau": [4, 8, 16], "alpha": [0.9, 1.0, 1.1], "hgnn_layers": [1, 2]},
    }
    return parse_space(table, source="small.toml")


@pytest.mark.parametrize(
    ("name", "parameter", "value", "sentence"),
    [
        ("lr", LOG, 3e-4, "lr = 0.0003 is the largest value allowed: widen it"),
        ("lr", LOG, 1e-5, "lr = 1e-05 is the smallest value allowed: widen it"),
        (
            "lr",
            LOG,
            2.95e-4,
            "lr = 0.000295 is next to the largest value allowed, 0.0003: widen it",
        ),
        ("lr", LOG, 5.5e-5, None),
        ("lr", Range(low=0.0, high=0.1), 0.0, None),
        ("tau", (4, 8, 16), 16, "tau = 16 is the largest value allowed: widen it"),
        ("tau", (16, 4, 8), 4, "tau = 4 is the smallest value allowed: widen it"),
        ("tau", (4, 8, 16), 8, None),
        ("hgnn_layers", (1, 2), 2, None),
        ("hgnn_layers", (1, 2, 3), 1, None),
        ("bn_freeze", (True, False), True, None),
        ("optimizer", ("adam", "adamw", "sgd"), "adam", None),
    ],
)
def test_a_value_at_an_edge_that_could_be_wider(
    space: Space, name: str, parameter: Parameter, value: object, sentence: str | None
) -> None:
    assert edge_sentence(name, parameter, value, space.loss.parameters) == sentence


SHARES = [
    Share(["tau"], 0.62, 0.41, 0.8),
    Share(["alpha"], 0.02, 0.0, 0.05),
    Share(["hgnn_layers"], 0.25, 0.1, 0.4),
    Share(["tau", "hgnn_layers"], 0.09, 0.021, 0.209),
    Share(["tau", "alpha"], 0.02, 0.0, 0.04),
]


def test_shares_in_words() -> None:
    assert shares_text(SHARES[2:4]) == (
        "hgnn_layers 25% (10% to 40%), tau with hgnn_layers 9% (2% to 21%)"
    )


def test_pairs_that_hardly_matter_and_their_edges_are_left_out(space: Space) -> None:
    best = {"tau": 16, "alpha": 1.1, "hgnn_layers": 2}
    found = what_mattered(space, SHARES, best)
    assert [one.parameters for one in found.parameters] == [["tau"], ["alpha"], ["hgnn_layers"]]
    assert [one.parameters for one in found.pairs] == [["tau", "hgnn_layers"]]
    assert found.edges == ["tau = 16 is the largest value allowed: widen it"]
    assert found.other_edges == ["alpha = 1.1 is the largest value allowed; alpha hardly matters"]


def test_no_edge_is_named_of_a_parameter_that_may_not_matter(space: Space) -> None:
    best = {"tau": 16, "alpha": 1.1, "hgnn_layers": 2}
    unsure = [Share(["tau"], 0.3, 0.01, 0.78), Share(["alpha"], 0.4, 0.04, 0.9)]
    found = what_mattered(space, unsure, best)
    assert found.edges == []
    assert found.other_edges == [
        "tau = 16 is the largest value allowed; whether tau matters isn't sure yet",
        "alpha = 1.1 is the largest value allowed; whether alpha matters isn't sure yet",
    ]
    with_a_sure_pair = [*unsure, Share(["tau", "hgnn_layers"], 0.2, 0.06, 0.4)]
    assert [one.split()[0] for one in what_mattered(space, with_a_sure_pair, best).edges] == ["tau"]


def test_where_shares_are_not_known_every_edge_is_named(space: Space) -> None:
    best = {"tau": 16, "alpha": 0.9, "hgnn_layers": 2}
    assert [one.split()[0] for one in what_mattered(space, [], best).edges] == ["tau", "alpha"]
    assert what_mattered(space, [], None).edges == []
