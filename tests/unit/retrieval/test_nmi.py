import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from histsearch.retrieval.nmi import assignment_nmi, normalized_mutual_information

GOLDEN = Path(__file__).parents[2] / "golden"


def noisy_clusters(noise: float) -> tuple[Tensor, Tensor]:
    """Ten classes of 12 points around ten directions, of various lengths."""
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(120) % 10
    points_ND = torch.eye(10)[labels_N] + noise * torch.randn(120, 10, generator=generator)
    return points_ND * torch.linspace(0.1, 100, 120)[:, None], labels_N


def test_the_nmi_of_an_assignment_equals_the_reference_figure() -> None:
    arrays = np.load(GOLDEN / "retrieval.npz")
    expected = json.loads((GOLDEN / "retrieval.json").read_text())["nmi_geometric"]
    assert assignment_nmi(arrays["labels"], arrays["cluster_labels"]) == pytest.approx(
        expected, abs=1e-12
    )


def test_renaming_clusters_leaves_a_perfect_assignment_at_one() -> None:
    assert assignment_nmi([0, 0, 1, 1, 2], [7, 7, 3, 3, 5]) == pytest.approx(1.0)


def test_an_assignment_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="inconsistent"):
        assignment_nmi([0, 1, 1], [0, 1])


def test_separate_classes_are_found_whatever_the_length_of_embeddings() -> None:
    points_ND, labels_N = noisy_clusters(noise=0.01)
    assert normalized_mutual_information(points_ND, labels_N, 10, seed=0) > 0.95


def test_mixed_classes_score_lower_and_the_seed_fixes_the_figure() -> None:
    points_ND, labels_N = noisy_clusters(noise=0.5)
    first = normalized_mutual_information(points_ND, labels_N, 2, seed=1)
    assert first < 0.9
    assert normalized_mutual_information(points_ND, labels_N, 2, seed=1) == first
    assert normalized_mutual_information(points_ND, labels_N, 2, seed=2) != first


def test_the_figure_is_a_mean_over_different_clusterings() -> None:
    points_ND, labels_N = noisy_clusters(noise=0.5)
    means = {normalized_mutual_information(points_ND, labels_N, n, seed=1) for n in (1, 2, 3)}
    assert len(means) == 3


def test_misuse_is_refused() -> None:
    points_ND, labels_N = noisy_clusters(noise=0.5)
    with pytest.raises(ValueError, match="1 or above, not 0"):
        normalized_mutual_information(points_ND, labels_N, 0, seed=0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        normalized_mutual_information(points_ND * torch.nan, labels_N, 1, seed=0)
