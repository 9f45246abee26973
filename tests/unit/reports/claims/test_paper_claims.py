"""The claims of the paper beside the spaces of their grids, and what the paper prints of them."""

import pytest

from histsearch.reports.claims.folder import read_claims_folder
from histsearch.reports.claims.grid_files import GRID_FILES
from histsearch.reports.claims.grid_scores import points_of
from histsearch.reports.claims.paper_claims import GRID_CLAIMS, LOSS_CLAIM, GridClaim
from histsearch.reports.published_claims import (
    apart_from_paper,
    published_difference,
    published_score,
    published_verdict,
)
from histsearch.reports.published_results import published_configurations, published_rows


@pytest.mark.parametrize("folder", ["claims", "claims/small"])
def test_each_grid_has_the_points_of_its_rule_and_five_seeds(folder: str) -> None:
    spaces = read_claims_folder(folder).spaces
    assert list(spaces) == list(GRID_FILES)
    for stem, space in spaces.items():
        file = GRID_FILES[stem]
        points = points_of(space, file.parameters)
        assert space.trials == 5 * len(points)
        if file.claim is not None:
            assert set(points) >= set(file.claim.points)


@pytest.mark.parametrize(
    ("claim", "read", "ranges"),
    list(zip(GRID_CLAIMS, (5, 5, 6, 12), (5, 5, 5, 8), strict=True)),
)
def test_rules_read_the_points_that_they_name(claim: GridClaim, read: int, ranges: int) -> None:
    assert len(claim.points) == read
    assert sum(map(len, claim.ranges)) == ranges


def test_the_claims_are_the_papers_five() -> None:
    numbers = [claim.number for claim in (*GRID_CLAIMS, LOSS_CLAIM)]
    assert numbers == [1, 2, 3, 4, 5]
    assert all(published_verdict(number) for number in numbers)


def test_its_tuned_configuration_is_that_of_tables_2_and_3() -> None:
    tuned = published_configurations("cars196", "resnet50")["tuned"]
    for name, value in tuned.items():
        assert published_score({name: value}) == 90.2
    assert published_rows("cars196", "resnet50")["tuned"]["R@1"] == 90.2
    assert apart_from_paper("cars196", "resnet50", tuned) == ""
    assert apart_from_paper("cars196", "bn_inception", tuned) == "other images"


def test_its_figures_stand_for_no_other_values() -> None:
    assert apart_from_paper("cars196", "resnet50", {"lambda_s": 0.8, "lr": 0.1}) == ""
    assert apart_from_paper("cars196", "resnet50", {"lambda_s": 1.0}) == "other values"


@pytest.mark.parametrize(
    ("values", "percent"),
    [
        ({"batch_size": 16}, None),
        ({"tau": 32, "lambda_s": 1.0}, None),
        ({"embedding_size": 512, "hgnn_hidden": 512}, 90.2),
        ({"distance": "cosine"}, 88.7),
        ({"distance": "manhattan"}, None),
        ({"lr": 0.1}, None),
    ],
)
def test_scores_are_those_that_the_paper_prints(
    values: dict[str, int | float | str], percent: float | None
) -> None:
    assert published_score(values) == percent


def test_differences_are_those_that_the_paper_prints() -> None:
    assert published_difference({"hgnn_layers": 4}, {"hgnn_layers": 2}) == -3.0
    assert published_difference({"hgnn_layers": 1}, {"hgnn_layers": 2}) is None
    assert published_difference({"hgnn_layers": 4}, {"hgnn_layers": 3}) is None
    assert published_difference({"alpha": 0.3}, {"alpha": 0.9}) is None
    euclidean = published_difference({"distance": "euclidean"}, {"distance": "mahalanobis"})
    assert euclidean == pytest.approx(-3.0)
