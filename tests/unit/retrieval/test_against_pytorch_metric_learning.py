import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from histsearch.retrieval.ranking import ranking_quality
from histsearch.retrieval.recall import recall_at_k

torch.set_num_threads(1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("images", "classes", "size"), [(60, 5, 8), (200, 40, 16), (90, 3, 4)])
def test_random_embeddings_score_as_in_pytorch_metric_learning(
    images: int, classes: int, size: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    embeddings_ND = torch.randn(images, size, generator=generator, dtype=torch.float64)
    labels_N = torch.arange(images) % classes
    theirs = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        knn_func=CustomKNN(CosineSimilarity()),
        device=torch.device("cpu"),
    ).get_accuracy(embeddings_ND, labels_N)

    ours = ranking_quality(embeddings_ND, labels_N)
    assert recall_at_k(embeddings_ND, labels_N, (1,))[1] == pytest.approx(theirs["precision_at_1"])
    assert ours.r_precision == pytest.approx(theirs["r_precision"])
    assert ours.map_at_r == pytest.approx(theirs["mean_average_precision_at_r"])
