import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from histsearch.retrieval.known_metrics import find_metric
from histsearch.retrieval.measurement import measure

torch.set_num_threads(1)


THEIR_NAMES = {
    "r_at_1": "precision_at_1",
    "r_precision": "r_precision",
    "map_at_r": "mean_average_precision_at_r",
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("images", "classes", "size"), [(60, 5, 8), (200, 40, 16), (90, 3, 4)])
def test_random_embeddings_score_as_in_pytorch_metric_learning(
    images: int, classes: int, size: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    embeddings_ND = torch.randn(images, size, generator=generator, dtype=torch.float64)
    labels_N = torch.arange(images) % classes
    theirs = AccuracyCalculator(
        include=tuple(THEIR_NAMES.values()),
        knn_func=CustomKNN(CosineSimilarity()),
        device=torch.device("cpu"),
    ).get_accuracy(embeddings_ND, labels_N)

    ours = measure(map(find_metric, THEIR_NAMES), embeddings_ND, labels_N)
    assert ours == {name: pytest.approx(theirs[one]) for name, one in THEIR_NAMES.items()}
