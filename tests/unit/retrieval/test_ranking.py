import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from histsearch.retrieval import similarity
from histsearch.retrieval.known_metrics import MAP_AT_R, R_PRECISION, recall_at
from histsearch.retrieval.measurement import measure, retrieve

GOLDEN = Path(__file__).parents[2] / "golden"


def ranking_quality(
    embeddings_ND: Tensor,
    labels_N: Tensor,
    *,
    gallery_MD: Tensor | None = None,
    gallery_labels_M: Tensor | None = None,
) -> tuple[float, float]:
    """R-Precision and MAP@R."""
    measured = measure(
        (R_PRECISION, MAP_AT_R),
        embeddings_ND,
        labels_N,
        gallery_MD=gallery_MD,
        gallery_labels_M=gallery_labels_M,
    )
    return measured[R_PRECISION.name], measured[MAP_AT_R.name]


def plain_ranking_quality(similarity_NM: Tensor, same_NM: Tensor) -> tuple[float, float]:
    """Both scores by sorting each query's gallery, straight from their definitions."""
    r_precisions, average_precisions = [], []
    for similarities, same in zip(similarity_NM.tolist(), same_NM.tolist(), strict=True):
        # Of equals, images of other classes come first.
        ordered = sorted(zip(similarities, same, strict=True), key=lambda one: (-one[0], one[1]))
        ranked = [hit for similarity, hit in ordered if similarity > -torch.inf]
        size = sum(ranked)
        precisions = [sum(ranked[: i + 1]) / (i + 1) for i in range(size)]
        r_precisions.append(sum(ranked[:size]) / max(1, size))
        average_precisions.append(
            sum(p for p, hit in zip(precisions, ranked, strict=False) if hit) / max(1, size)
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
    assert quality == pytest.approx((expected["r_precision"], expected["map_at_r"]), abs=1e-12)


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
    assert quality == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("block_images", [512, 24, 8])
@pytest.mark.parametrize("seed", range(5))
def test_ties_lone_queries_and_classes_of_any_size_score_as_a_plain_sort(
    seed: int, block_images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "CHUNK_SIMILARITIES", 11 * 60)
    monkeypatch.setattr(similarity, "_BLOCK_IMAGES", block_images)
    generator = torch.Generator().manual_seed(seed)
    # Few directions, so that many images are equally near; of classes, some are in one part alone.
    directions_KD = torch.nn.functional.normalize(torch.randn(15, 3, generator=generator))
    sizes_C = torch.rand(9, generator=generator).square() + 0.01
    labels_N = torch.multinomial(sizes_C, 60, replacement=True, generator=generator)
    embeddings_ND = directions_KD[torch.randint(15, (60,), generator=generator)]
    same_NN = labels_N[:, None] == labels_N
    similarity_NN = torch.nn.functional.normalize(embeddings_ND) @ embeddings_ND.T

    other_than_itself_NN = similarity_NN.clone().fill_diagonal_(-torch.inf)
    expected = plain_ranking_quality(
        other_than_itself_NN, same_NN & ~torch.eye(60, dtype=torch.bool)
    )
    assert ranking_quality(embeddings_ND, labels_N) == pytest.approx(expected, abs=1e-12)

    of_gallery = ranking_quality(
        embeddings_ND[:25],
        labels_N[:25],
        gallery_MD=embeddings_ND[25:],
        gallery_labels_M=labels_N[25:],
    )
    expected = plain_ranking_quality(similarity_NN[:25, 25:], same_NN[:25, 25:])
    assert of_gallery == pytest.approx(expected, abs=1e-12)


def plain_nearest(similarity_NM: Tensor, same_NM: Tensor) -> list[list[tuple[float, bool]]]:
    """Of each query similarity and class of its five nearest, straight from the definition."""
    nearest = []
    for similarities, same in zip(similarity_NM.tolist(), same_NM.tolist(), strict=True):
        ordered = sorted(zip(similarities, same, strict=True), key=lambda one: (-one[0], one[1]))
        nearest.append([one for one in ordered if one[0] > -torch.inf][:5])
    return nearest


def at_places(
    similarity_NM: Tensor, same_NM: Tensor, place_N5: Tensor
) -> list[list[tuple[float, bool]]]:
    """The same of places."""
    places = [[place for place in row if place >= 0] for row in place_N5.tolist()]
    return [
        [(float(similarity_NM[i, place]), bool(same_NM[i, place])) for place in row]
        for i, row in enumerate(places)
    ]


@pytest.mark.parametrize("images", [4, 60, 200])
@pytest.mark.parametrize("block_images", [512, 24, 8])
@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_are_those_of_a_plain_sort_and_give_recall_at_1(
    seed: int, block_images: int, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "CHUNK_SIMILARITIES", 11 * images)
    monkeypatch.setattr(similarity, "_BLOCK_IMAGES", block_images)
    generator = torch.Generator().manual_seed(seed)
    # Similarities that floating-point numbers hold exactly, so that images are equally near.
    directions_KD = torch.cat([torch.eye(4), -torch.eye(4)[:2], torch.ones(1, 4)])
    labels_N = torch.randint(9, (images,), generator=generator)
    embeddings_ND = directions_KD[torch.randint(7, (images,), generator=generator)]
    unit_ND = torch.nn.functional.normalize(embeddings_ND)
    similarity_NN = unit_ND @ unit_ND.T
    same_NN = labels_N[:, None] == labels_N

    found = retrieve([recall_at(1)], embeddings_ND, labels_N, nearest=5)
    assert found.nearest_NK.shape == (images, 5)
    itself_NN = torch.eye(images, dtype=torch.bool)
    other_NN = similarity_NN.masked_fill(itself_NN, -torch.inf)
    assert at_places(other_NN, same_NN, found.nearest_NK) == plain_nearest(other_NN, same_NN)
    nearest_N = found.nearest_NK[:, 0]
    hits = int((labels_N[nearest_N] == labels_N).sum())
    assert found.values["r_at_1"] == hits / images

    count = images // 3
    of_gallery = retrieve(
        [recall_at(1)],
        embeddings_ND[:count],
        labels_N[:count],
        gallery_MD=embeddings_ND[count:],
        gallery_labels_M=labels_N[count:],
        nearest=5,
    )
    parts = similarity_NN[:count, count:], same_NN[:count, count:]
    assert at_places(*parts, of_gallery.nearest_NK) == plain_nearest(*parts)


def test_a_perfect_ranking_scores_one() -> None:
    labels_N = torch.tensor([0, 0, 0, 1, 1])
    embeddings_ND = torch.eye(2)[labels_N]
    assert ranking_quality(embeddings_ND, labels_N) == (1.0, 1.0)


def test_a_lone_query_scores_nothing() -> None:
    labels_N = torch.tensor([0, 0, 1])
    embeddings_ND = torch.eye(2)[labels_N]
    assert ranking_quality(embeddings_ND, labels_N) == pytest.approx((2 / 3, 2 / 3))
    assert ranking_quality(embeddings_ND[1:], labels_N[1:]) == (0.0, 0.0)


def test_figures_do_not_depend_on_the_order_of_the_images() -> None:
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.randint(20, (300,), generator=generator)
    # 16 times ± 0.25, of length 1, so that similarities are exact.
    prototype_CD = torch.randint(2, (20, 16), generator=generator)
    noise_ND = torch.rand(300, 16, generator=generator) < 0.2
    embeddings_ND = (prototype_CD[labels_N] ^ noise_ND).float() / 2 - 0.25
    found = {
        ranking_quality(embeddings_ND[order_N], labels_N[order_N])
        for order_N in (torch.randperm(300, generator=generator) for _ in range(20))
    }
    assert len(found) == 1


def test_collapsed_embeddings_get_no_credit() -> None:
    assert ranking_quality(torch.ones(20, 4), torch.arange(20) // 2) == (0.0, 0.0)


def test_embeddings_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        ranking_quality(torch.full((2, 2), torch.nan), torch.zeros(2))
