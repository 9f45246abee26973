"""Which runs of a space are timed before it is searched."""

from typing import Any

import pytest

from histsearch.space.largest_runs import batch_sizes, largest_run
from histsearch.space.reading import parse_space
from histsearch.space.space import Space


def small(search: dict[str, Any], **changes: Any) -> Space:
    table = {"name": "s", "dataset": "glyphs", "backbone": "conv4", "epochs": 9, "trials": 2}
    return parse_space({**table, "search": search, **changes}, source="s.toml")


@pytest.mark.parametrize(
    ("search", "fixed", "sizes"),
    [
        ({"batch_size": [64, 8, 16]}, {}, [8, 16, 64]),
        ({"tau": [4, 8]}, {"batch_size": 24}, [24]),
        ({"tau": [4, 8]}, {}, [32]),
        ({"batch_size": {"low": 10, "high": 100}}, {}, [10, 12, 25, 50, 100]),
        ({"batch_size": {"low": 12, "high": 60, "step": 12}}, {}, [12, 24, 60]),
    ],
)
def test_batch_sizes_are_those_of_the_list_or_halves_within_the_range(
    search: dict[str, Any], fixed: dict[str, Any], sizes: list[int]
) -> None:
    assert batch_sizes(small(search, fixed=fixed)) == sizes


def test_a_run_has_the_largest_sizes_and_else_the_values_that_are_tried_first() -> None:
    search = {
        "batch_size": [8, 16],
        "embedding_size": {"low": 16, "high": 64},
        "image_size": [24, 48, 32],
        "hgnn_hidden": [32, 128],
        "warmup_epochs": [0, 2, 1],
        "tau": [16, 4],
        "distance": ["cosine", "mahalanobis"],
        "lr": {"low": 1e-4, "high": 1e-2},
    }
    largest = {"embedding_size": 64, "image_size": 48, "hgnn_hidden": 128, "warmup_epochs": 2}
    first = {"tau": 16, "distance": "cosine", "lr": 1e-4}
    assert largest_run(small(search), 8) == {**largest, **first, "batch_size": 8}
    enqueued = small(search, enqueue=[{"tau": 4, "lr": 1e-3, "embedding_size": 16}])
    assert largest_run(enqueued, 16) == {
        **largest,
        **first,
        "tau": 4,
        "lr": 1e-3,
        "batch_size": 16,
    }


def test_a_batch_size_that_is_not_searched_is_not_given() -> None:
    assert largest_run(small({"tau": [16, 4]}), 32) == {"tau": 16}
