import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from histsearch.retrieval import similarity
from histsearch.retrieval.known_metrics import recall_at
from histsearch.retrieval.measurement import measure

GOLDEN = Path(__file__).parents[2] / "golden"


def recall_at_k(
    embeddings_ND: Tensor,
    labels_N: Tensor,
    ks: tuple[int, ...],
    *,
    gallery_MD: Tensor | None = None,
    gallery_labels_M: Tensor | None = None,
) -> dict[int, float]:
    metrics = {k: recall_at(k) for k in ks}
    measured = measure(
        metrics.values(),
        embeddings_ND,
        labels_N,
        gallery_MD=gallery_MD,
        gallery_labels_M=gallery_labels_M,
    )
    return {k: measured[metric.name] for k, metric in metrics.items()}


@pytest.fixture
def golden() -> tuple[Tensor, Tensor]:
    arrays = np.load(GOLDEN / "retrieval.npz")
    return torch.from_numpy(arrays["embeddings"]), torch.from_numpy(arrays["labels"])


def test_recall_equals_the_reference_implementation(golden: tuple[Tensor, Tensor]) -> None:
    expected = json.loads((GOLDEN / "retrieval.json").read_text())["recall_at"]
    recall = recall_at_k(*golden, ks=(1, 2, 4, 8, 16, 32))
    assert recall == {int(k): value for k, value in expected.items()}


def test_neither_length_nor_order_of_the_embeddings_matters(golden: tuple[Tensor, Tensor]) -> None:
    embeddings_ND, labels_N = golden
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(labels_N), generator=generator)
    # Powers of two scale without rounding.
    scale_N1 = 2.0 ** torch.randint(-4, 5, (len(labels_N), 1), generator=generator)
    shuffled = recall_at_k((embeddings_ND * scale_N1)[order], labels_N[order], (1, 4))
    assert shuffled == recall_at_k(embeddings_ND, labels_N, (1, 4))


def test_chunks_do_not_change_the_result(
    golden: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = recall_at_k(*golden, ks=(1, 8))
    monkeypatch.setattr(similarity, "CHUNK_SIMILARITIES", 7 * 240)
    assert recall_at_k(*golden, ks=(1, 8)) == whole


def test_a_query_never_matches_itself_and_a_lone_one_misses() -> None:
    embeddings_ND = torch.eye(3)
    assert recall_at_k(embeddings_ND, torch.arange(3), (1, 3, 100)) == {1: 0, 3: 0, 100: 0}


def test_rank_counts_the_images_of_other_classes_that_are_nearer() -> None:
    degrees_N = torch.tensor([0.0, 10.0, 25.0, 50.0])
    radians_N = torch.deg2rad(degrees_N)
    embeddings_ND = torch.stack([radians_N.cos(), radians_N.sin()], dim=1)
    labels_N = torch.tensor([0, 1, 0, 1])
    # Ranks of the nearest of the same class: 2, 3, 3, 2.
    assert recall_at_k(embeddings_ND, labels_N, (1, 2, 3)) == {1: 0.0, 2: 0.5, 3: 1.0}


def test_collapsed_embeddings_get_no_credit() -> None:
    labels_N = torch.arange(20) // 2
    assert recall_at_k(torch.ones(20, 4), labels_N, (1, 18, 19)) == {1: 0.0, 18: 0.0, 19: 1.0}


def test_queries_rank_the_gallery_alone() -> None:
    queries_ND = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    gallery_MD = torch.tensor([[0.9, 0.1], [1.0, 0.2], [0.1, 1.0]])
    recall = recall_at_k(
        queries_ND,
        torch.tensor([5, 7]),
        (1, 2, 3),
        gallery_MD=gallery_MD,
        gallery_labels_M=torch.tensor([7, 5, 7]),
    )
    assert recall == {1: 0.5, 2: 1.0, 3: 1.0}


def test_an_image_of_the_gallery_equal_to_the_query_counts() -> None:
    embeddings_ND = torch.eye(2)
    labels_N = torch.arange(2)
    recall = recall_at_k(
        embeddings_ND, labels_N, (1,), gallery_MD=embeddings_ND, gallery_labels_M=labels_N
    )
    assert recall == {1: 1.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_embeddings_that_are_not_finite_are_refused(value: float) -> None:
    embeddings_ND = torch.ones(4, 2)
    embeddings_ND[2, 1] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        recall_at_k(embeddings_ND, torch.zeros(4), (1,))


def test_misuse_is_refused() -> None:
    embeddings_ND, labels_N = torch.ones(4, 2), torch.zeros(4)
    with pytest.raises(ValueError, match="1 or above, not 0"):
        recall_at_k(embeddings_ND, labels_N, (1, 0))
    with pytest.raises(ValueError, match="4 embeddings got labels"):
        recall_at_k(embeddings_ND, labels_N[:3], (1,))
    with pytest.raises(ValueError, match="go together"):
        recall_at_k(embeddings_ND, labels_N, (1,), gallery_MD=embeddings_ND)
    with pytest.raises(ValueError, match=r"must be \(N, D\)"):
        recall_at_k(torch.ones(0, 2), torch.ones(0), (1,))
