import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from histsearch.retrieval import similarity
from histsearch.retrieval.ranking import ranking_quality

GOLDEN = Path(__file__).parents[2] / "golden"


def plain_ranking_quality(similarity_NM: Tensor, same_NM: Tensor) -> tuple[float, float]:
    """Both scores by sorting each query's gallery, straight from their definitions."""
    r_precisions, average_precisions = [], []
    for similarities, same in zip(similarity_NM.tolist(), same_NM.tolist(), strict=True):
        ranked = [hit for _, hit in sorted(zip(similarities, same, strict=True), reverse=True)]
        size = sum(ranked)
        precisions = [sum(ranked[: i + 1]) / (i + 1) for i in range(size)]
        r_precisions.append(sum(ranked[:size]) / size)
        average_precisions.append(
            sum(p for p, hit in zip(precisions, ranked, strict=False) if hit) / size
        )
    return float(np.mean(r_precisions)), float(np.mean(average_precisions))


@pytest.mark.parametrize("chunk_similarities", [2**24, 7 * 240])
def test_scores_equal_the_reference_figures(
    chunk_similarities: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "CHUNK_SIMILARITIES", chunk_similarities)
    arrays = np.load(GOLDEN / "retrieval.npz")
    expected = json.loads((GOLDEN / "retrieval.json").read_text())
    quality = ranking_quality(
        torch.from_numpy(arrays["embeddings"]), torch.from_numpy(arrays["labels"])
    )
    assert quality.r_precision == pytest.approx(expected["r_precision"], abs=1e-12)
    assert quality.map_at_r == pytest.approx(expected["map_at_r"], abs=1e-12)


def test_scores_of_a_gallery_equal_a_plain_sort() -> None:
    generator = torch.Generator().manual_seed(0)
    queries_ND = torch.nn.functional.normalize(torch.randn(30, 3, generator=generator))
    gallery_MD = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator))
    labels_N = torch.arange(30) % 4
    # Classes of 2 to 30 images.
    gallery_labels_M = torch.arange(50).sqrt().round().long().clamp(max=5) % 4
    quality = ranking_quality(
        queries_ND, labels_N, gallery_MD=gallery_MD, gallery_labels_M=gallery_labels_M
    )
    expected = plain_ranking_quality(
        queries_ND @ gallery_MD.T, labels_N[:, None] == gallery_labels_M
    )
    assert tuple(quality) == pytest.approx(expected, abs=1e-12)


def test_a_perfect_ranking_scores_one() -> None:
    labels_N = torch.tensor([0, 0, 0, 1, 1])
    embeddings_ND = torch.eye(2)[labels_N]
    assert ranking_quality(embeddings_ND, labels_N) == (1.0, 1.0)


def test_a_lone_query_scores_nothing() -> None:
    labels_N = torch.tensor([0, 0, 1])
    embeddings_ND = torch.eye(2)[labels_N]
    assert ranking_quality(embeddings_ND, labels_N) == pytest.approx((2 / 3, 2 / 3))
    assert ranking_quality(embeddings_ND[1:], labels_N[1:]) == (0.0, 0.0)


def test_collapsed_embeddings_get_no_credit() -> None:
    assert ranking_quality(torch.ones(20, 4), torch.arange(20) // 2) == (0.0, 0.0)


def test_embeddings_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        ranking_quality(torch.full((2, 2), torch.nan), torch.zeros(2))
