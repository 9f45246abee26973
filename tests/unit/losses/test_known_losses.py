from typing import Any

import pytest
import torch
from pydantic import Field

from histsearch.exceptions import SpaceError
from histsearch.losses.known_losses import LOSSES, find_loss
from histsearch.losses.loss_record import LossParameters, LossRecord
from histsearch.space.known_parameters import KnownParameters, known_parameters

N, C, D = 8, 5, 6


@pytest.fixture(params=LOSSES.values(), ids=list(LOSSES))
def record(request: pytest.FixtureRequest) -> LossRecord[Any, Any]:
    record: LossRecord[Any, Any] = request.param
    return record


def test_each_weight_of_a_loss_is_in_one_group(record: LossRecord[Any, Any]) -> None:
    parameters = record.parameters()
    loss = record.build(parameters, C, D)
    grouped = [weight for group in record.groups(loss, parameters, 0.1) for weight in group.weights]
    assert len(grouped) == len({id(weight) for weight in grouped})
    assert {id(weight) for weight in grouped} == {id(weight) for weight in loss.parameters()}


def test_a_loss_teaches_embeddings_of_any_length(record: LossRecord[Any, Any]) -> None:
    torch.manual_seed(0)
    loss = record.build(record.parameters(), C, D)
    embeddings_ND = (7.0 * torch.randn(N, D)).requires_grad_()
    value = loss(embeddings_ND, torch.arange(N) % C)
    value.backward()
    assert value.shape == ()
    assert embeddings_ND.grad is not None
    assert torch.isfinite(embeddings_ND.grad).all()
    assert embeddings_ND.grad.abs().sum() > 0


def test_every_parameter_says_what_is_allowed_and_has_a_valid_default(
    record: LossRecord[Any, Any],
) -> None:
    own: type[LossParameters] = record.parameters
    known = KnownParameters(own)
    for name in own.model_fields:
        assert known.allowed_values(name)
        assert known.is_valid_value(name, known.defaults[name])


def test_proxies_learn_a_hundred_times_as_fast_as_the_network() -> None:
    record = find_loss("proxy-anchor")
    loss = record.build(record.parameters(), C, D)
    (group,) = record.groups(loss, record.parameters(), 1e-4)
    assert group.lr == pytest.approx(1e-2)
    assert [*group.weights] == [loss.proxies]


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(
        SpaceError, match='found the loss "hits", allowed: "hist", "proxy-anchor", or "pml:NAME"'
    ):
        find_loss("hits")


def test_a_parameter_that_training_has_too_is_written_with_the_word_loss() -> None:
    class Clashing(LossParameters):
        lr: float = Field(1.0, description="a number")

    known = KnownParameters(Clashing)
    assert {"lr", "loss.lr"} <= {*known.names}
    configuration = known.complete({"lr": 0.5, "loss.lr": 2.0})
    assert configuration.loss == {"lr": 2.0}
    assert configuration.training.lr == 0.5
    assert configuration.values() == known.defaults | {"lr": 0.5, "loss.lr": 2.0}
    # A machine without the loss tells the two apart as well.
    assert known_parameters(None).complete({"lr": 0.5, "loss.lr": 2.0}) == configuration
