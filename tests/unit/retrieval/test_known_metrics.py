import pytest
import torch

from histsearch.exceptions import SpaceError
from histsearch.retrieval.known_metrics import MAP_AT_R, R_PRECISION, find_metric, recall_at
from histsearch.retrieval.measurement import measure

ALLOWED = '"r_at_1" (or another K), "map_at_r", "r_precision"'


def refusal(name: str) -> str:
    with pytest.raises(SpaceError) as refused:
        find_metric(name)
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("r_at_1", "R@1"),
        ("r_at_4", "R@4"),
        ("r_at_1000", "R@1000"),
        ("map_at_r", "MAP@R"),
        ("r_precision", "R-Precision"),
    ],
)
def test_a_metric_is_found_by_its_name(name: str, label: str) -> None:
    found = find_metric(name)
    assert (found.name, found.label, repr(found)) == (name, label, repr(name))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("recall", "r_at_1"),
        ("R@1", "r_at_1"),
        ("recall_at_8", "r_at_8"),
        ("recall@16", "r_at_16"),
        ("r_at_04", "r_at_4"),
        ("map", "map_at_r"),
        ("MAP@R", "map_at_r"),
        ("mAP_at_R", "map_at_r"),
        ("rprecision", "r_precision"),
    ],
)
def test_a_name_that_is_nearly_one_is_refused_with_that(name: str, near: str) -> None:
    assert refusal(name) == f'found "{name}", allowed: did you mean "{near}"? {ALLOWED}'


@pytest.mark.parametrize("name", ["nmi", "loss", "", "r@0\n", "🐦"])
def test_another_name_is_refused_with_those_allowed(name: str) -> None:
    assert refusal(name).endswith(ALLOWED)


def test_no_metric_is_a_recall_at_no_image() -> None:
    assert refusal("r_at_0").startswith('found "r_at_0", allowed: did you mean "r_at_1"?')
    with pytest.raises(ValueError, match="1 or above, not 0"):
        recall_at(0)


def test_recall_says_nothing_where_it_reaches_all_images() -> None:
    embeddings_ND = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels_N = torch.arange(6) % 2
    metric = recall_at(5)
    assert metric.least_ranked == 6  # each query ranks the five others
    assert measure([metric], embeddings_ND, labels_N) == {"r_at_5": 1.0}


def test_several_metrics_are_those_measured_alone() -> None:
    embeddings_ND = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    labels_N = torch.arange(40) % 7
    metrics = (recall_at(1), recall_at(4), R_PRECISION, MAP_AT_R)
    parts: list[None] = []
    found = measure(metrics, embeddings_ND, labels_N, on_chunk=lambda: parts.append(None))
    assert len(parts) == 1
    alone = [measure([metric], embeddings_ND, labels_N) for metric in metrics]
    assert found == {name: value for one in alone for name, value in one.items()}
    assert len(set(found.values())) == len(metrics)
