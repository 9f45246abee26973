import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses, miners
from torch import nn

from histsearch.exceptions import SpaceError
from histsearch.losses.known_losses import find_loss
from histsearch.losses.loss_record import LossRecord
from histsearch.losses.trial_batch import try_loss
from histsearch.space.known_parameters import known_parameters

N, C, D = 16, 8, 6

UNFIT = {
    "BaseLossWrapper": "made of other losses",
    "BaseMetricLossFunction": "pytorch-metric-learning hasn't",
    "CrossBatchMemory": "made of other losses",
    "DynamicSoftMarginLoss": "index error of its own",
    "GenericPairLoss": "pytorch-metric-learning hasn't",
    "ManifoldLoss": "instead of taking labels",
    "MultipleLosses": "made of other losses",
    "SelfSupervisedLoss": "made of other losses",
    "VICRegLoss": "reference embeddings",
}
UNFIT_MINERS = {
    "BaseMiner": "pytorch-metric-learning hasn't",
    "EmbeddingsAlreadyPackagedAsTriplets": "batches that consist of triplets",
}
REQUIRED = {"margin": 0.4, "Tn": 2}


def modules_of(library: Any) -> list[str]:
    return [
        name
        for name, one in vars(library).items()
        if inspect.isclass(one) and issubclass(one, nn.Module)
    ]


def usual_parameters(record: LossRecord[Any, Any]) -> Any:
    required = known_parameters(record.parameters).required
    return record.parameters(**{name: REQUIRED[name] for name in required})


def test_every_loss_of_the_library_can_be_trained_or_is_refused_by_name() -> None:
    for name in modules_of(losses):
        if name in UNFIT:
            with pytest.raises(SpaceError, match=UNFIT[name]) as refusal:
                find_loss(f"pml:{name}")
            assert f'"pml:{name}"' in str(refusal.value)
        else:
            record = find_loss(f"pml:{name}")
            try_loss(record, usual_parameters(record))


def test_every_miner_of_the_library_can_be_used_or_is_refused_by_name() -> None:
    for name in modules_of(miners):
        if name in UNFIT_MINERS:
            with pytest.raises(SpaceError, match=UNFIT_MINERS[name]):
                find_loss("pml:MarginLoss", f"pml:{name}")
        else:
            record = find_loss("pml:MarginLoss", f"pml:{name}")
            assert record.needs_positives
            try_loss(record, usual_parameters(record))


@pytest.mark.parametrize(
    "labels_N",
    [torch.arange(C), torch.zeros(C, dtype=torch.int64)],
    ids=["no pair of one class", "one class"],
)
@pytest.mark.parametrize("miner", [None, "pml:MultiSimilarityMiner", "pml:BatchHardMiner"])
def test_a_batch_without_pairs_teaches_nothing_and_stops_nothing(
    miner: str | None, labels_N: torch.Tensor
) -> None:
    for name in ("MultiSimilarity", "TripletMargin", "Contrastive", "SupCon"):
        record = find_loss(f"pml:{name}Loss", miner)
        loss = record.build(record.parameters(), C, D)
        embeddings_ND = torch.randn(len(labels_N), D, requires_grad=True)
        value = loss(embeddings_ND, labels_N)
        value.backward()
        assert torch.isfinite(value)
        assert embeddings_ND.grad is not None


def test_learned_weights_have_a_learning_rate_of_their_own() -> None:
    record = find_loss("pml:SoftTripleLoss")
    parameters = record.parameters(centers_per_class=3)
    loss = record.build(parameters, C, D)
    (group,) = record.groups(loss, parameters, 1e-4)
    assert [weight.shape for weight in group.weights] == [(D, 3 * C)]
    assert group.lr == pytest.approx(1e-2)
    slower = record.parameters(loss_lr_factor=1)
    assert record.groups(loss, slower, 1e-4)[0].lr == pytest.approx(1e-4)


def test_a_loss_without_weights_has_no_learning_rate() -> None:
    record = find_loss("pml:CircleLoss")
    assert "loss_lr_factor" not in record.parameters.model_fields
    assert not record.groups(record.build(record.parameters(), C, D), record.parameters(), 1e-4)


def test_parameters_are_the_numbers_words_and_switches_of_the_constructor() -> None:
    record = find_loss("pml:TripletMarginLoss", "pml:TripletMarginMiner")
    known = known_parameters(record.parameters)
    own = {name: known.defaults[name] for name in record.parameters.model_fields}
    assert own == {
        "margin": 0.05,
        "swap": False,
        "smooth_loss": False,
        "triplets_per_anchor": "all",
        "miner.margin": 0.2,
        "miner.type_of_triplets": "all",
    }
    assert {"distance", "reducer", "miner.distance"} <= known.objects
    assert known.is_valid_value("margin", 1)
    assert known.is_valid_value("triplets_per_anchor", 20)
    assert not known.is_valid_value("swap", 1)
    assert not known.is_valid_value("margin", True)
    assert not known.is_valid_value("margin", float("nan"))
    loss = record.build(record.parameters(**{"margin": 0.3, "miner.margin": 0.4}), C, D)
    assert (loss.loss.margin, loss.miner.margin) == (0.3, 0.4)


def test_arguments_that_a_class_gives_to_its_base_itself_are_none() -> None:
    hard = find_loss("pml:MarginLoss", "pml:BatchHardMiner").parameters.model_fields
    assert not any("strategy" in name for name in hard)
    assert "mat_based_loss" not in find_loss("pml:SupConLoss").parameters.model_fields
    assert "softmax_scale" in find_loss("pml:ProxyNCALoss").parameters.model_fields


def test_only_losses_with_weights_for_classes_do_without_several_images_a_class() -> None:
    lone = {
        name
        for name in modules_of(losses)
        if name not in UNFIT and not find_loss(f"pml:{name}").needs_positives
    }
    assert lone == {
        "ArcFaceLoss",
        "CosFaceLoss",
        "LargeMarginSoftmaxLoss",
        "NormalizedSoftmaxLoss",
        "P2SGradLoss",
        "ProxyAnchorLoss",
        "ProxyNCALoss",
        "SoftTripleLoss",
        "SphereFaceLoss",
        "SubCenterArcFaceLoss",
    }


def test_a_typing_error_gets_names_that_are_near() -> None:
    with pytest.raises(SpaceError, match='did you mean "pml:MultiSimilarityLoss"'):
        find_loss("pml:MultySimilarityLoss")
    with pytest.raises(SpaceError, match=r'the miner "pml:Hard".*It has AngularMiner'):
        find_loss("pml:MarginLoss", "pml:Hard")


def test_a_record_whose_groups_leave_out_a_weight_is_refused() -> None:
    record = replace(find_loss("pml:ArcFaceLoss"), groups=lambda *_: ())
    with pytest.raises(SpaceError, match=r"its groups leave out the weights loss\.W$"):
        try_loss(record, record.parameters())
