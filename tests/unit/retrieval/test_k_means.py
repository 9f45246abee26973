from statistics import fmean

import pytest
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from histsearch.retrieval import k_means as module
from histsearch.retrieval.k_means import k_means


def clustered_points(noise: float = 0.3) -> Tensor:
    """400 points around 40 directions."""
    generator = torch.Generator().manual_seed(0)
    centre_KD = torch.nn.functional.normalize(torch.randn(40, 16, generator=generator))
    return centre_KD.repeat(10, 1) + noise * torch.randn(400, 16, generator=generator)


def inertia(points_ND: Tensor, cluster_N: Tensor) -> float:
    """The sum of squared distances from the means of clusters."""
    parts = (points_ND[cluster_N == cluster] for cluster in torch.unique(cluster_N))
    return sum(float((part - part.mean(dim=0)).square().sum()) for part in parts)


def test_clusters_are_as_tight_as_those_of_scikit_learn() -> None:
    points_ND = clustered_points()
    ours = fmean(inertia(points_ND, k_means(points_ND, 40, seed)) for seed in range(10))
    theirs = fmean(
        KMeans(40, init="k-means++", n_init=1, random_state=seed).fit(points_ND.numpy()).inertia_
        for seed in range(10)
    )
    assert ours == pytest.approx(theirs, rel=0.02)


def test_candidates_drawn_ahead_are_as_good_as_those_drawn_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points_ND = clustered_points()

    def left(seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        centre_KD = points_ND[module._start(points_ND, 40, generator, lambda: None)]
        return float(torch.cdist(points_ND, centre_KD).amin(dim=1).square().sum())

    ahead = fmean(left(seed) for seed in range(40))
    monkeypatch.setattr(module, "_CHUNK_DISTANCES", 5 * len(points_ND))  # five at a time
    assert fmean(left(seed) for seed in range(40)) == pytest.approx(ahead, rel=0.02)


def test_a_candidate_is_drawn_as_often_as_its_squared_distance_says() -> None:
    points_ND = torch.tensor([[0.0], [1.0], [2.0]])
    candidates = module._Candidates(points_ND, torch.Generator().manual_seed(0))
    candidates._count = 20_000
    then_N, now_N = torch.tensor([0.0, 1.0, 4.0]), torch.tensor([0.0, 1.0, 1.0])
    candidates.draw(1, then_N)  # so that the rest were drawn before the distances shrank
    point_T, _ = candidates.draw(5_000, now_N)
    shares = torch.bincount(point_T, minlength=3) / 5_000
    assert shares.tolist() == pytest.approx([0.0, 0.5, 0.5], abs=0.03)


def test_a_seed_fixes_the_clusters_and_another_gives_others() -> None:
    points_ND = clustered_points()
    first_N = k_means(points_ND, 40, 1)
    assert torch.equal(k_means(points_ND, 40, 1), first_N)
    assert not torch.equal(k_means(points_ND, 40, 2), first_N)


@pytest.mark.parametrize("points_ND", [torch.ones(9, 4), torch.eye(3).repeat(3, 1)])
def test_equal_points_are_no_obstacle(points_ND: Tensor) -> None:
    cluster_N = k_means(points_ND, 5, 0)
    assert cluster_N.shape == (9,)
    assert 0 <= int(cluster_N.min()) <= int(cluster_N.max()) < 5


def test_as_many_clusters_as_points_are_the_points() -> None:
    points_ND = torch.arange(6.0)[:, None]
    assert sorted(k_means(points_ND, 6, 0).tolist()) == list(range(6))


def test_an_empty_cluster_takes_a_point_that_is_far_from_its_own() -> None:
    points_ND = torch.tensor([[0.0], [1.0], [5.0]])
    cluster_N = torch.tensor([0, 0, 0])
    centre_KD = module._centres(points_ND, cluster_N, torch.tensor([0.0, 1.0, 25.0]), 2)
    assert centre_KD.flatten().tolist() == [0.5, 5.0]


def test_a_cluster_keeps_its_last_point() -> None:
    points_ND = torch.tensor([[0.0], [1.0], [2.0], [9.0]])
    cluster_N = torch.tensor([0, 0, 0, 1])
    distance_N = torch.tensor([0.5, 0.0, 1.0, 9.0])
    centre_KD = module._centres(points_ND, cluster_N, distance_N, 4)
    assert centre_KD.flatten().tolist() == [1.0, 9.0, 2.0, 0.0]


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="2 points can't make 3 clusters"):
        k_means(torch.eye(2), 3, 0)


def test_what_is_raised_after_a_step_ends_the_work() -> None:
    steps = 0

    def stop_at_the_tenth() -> None:
        nonlocal steps
        steps += 1
        if steps == 10:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        k_means(clustered_points(), 40, 0, stop_at_the_tenth)
    assert steps == 10
