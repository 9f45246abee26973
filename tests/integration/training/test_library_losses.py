"""Losses of pytorch-metric-learning, each of another kind, train on glyphs."""

from typing import Any

import pytest
import torch

from histsearch.data.dataset import load_dataset
from histsearch.data.hold_out import hold_out_classes
from histsearch.data.image_set import ImageSet
from histsearch.retrieval.known_metrics import recall_at
from histsearch.training.trainer import Trainer
from tests.conv4_runs import conv4_run

KINDS: dict[str, dict[str, Any]] = {
    "pair": {"loss": "pml:MultiSimilarityLoss", "miner": "pml:MultiSimilarityMiner"},
    "triplet": {"loss": "pml:TripletMarginLoss", "miner": "pml:DistanceWeightedMiner"},
    "proxy": {"loss": "pml:ProxyNCALoss"},
    "classification": {"loss": "pml:ArcFaceLoss"},
    "contrastive": {"loss": "pml:ContrastiveLoss"},
    "soft triple": {"loss": "pml:SoftTripleLoss"},
}
VALUES: dict[str, Any] = {
    "batch_size": 16,
    "images_per_class": 4,
    "embedding_size": 32,
    "lr": 1e-3,
    "warmup_epochs": 0,
    "bn_freeze": False,
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageSet, ImageSet]:
    dataset = load_dataset("glyphs", tmp_path_factory.mktemp("data"))
    some, _ = hold_out_classes(dataset.train, 0.75, 0)
    return hold_out_classes(some, 0.5, 0)


@pytest.mark.parametrize("choice", KINDS.values(), ids=list(KINDS))
def test_a_loss_of_each_kind_trains(
    images: tuple[ImageSet, ImageSet], choice: dict[str, Any]
) -> None:
    torch.set_num_threads(1)
    train, validation = images
    trainer = Trainer(conv4_run(2, VALUES, **choice), train, device=torch.device("cpu"))
    weights = [weight.detach().clone() for weight in trainer.loss.parameters()]
    before = trainer.measure([recall_at(1)], validation)["r_at_1"]
    first, second = trainer.epochs(validation)
    assert second.loss < first.loss
    assert second.score is not None
    assert second.score > before
    for one, trained in zip(weights, trainer.loss.parameters(), strict=True):
        assert not torch.equal(one, trained), "its own weights are trained too"
