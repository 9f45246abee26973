"""Proxy-Anchor against pytorch-metric-learning's, and where that says nothing."""

# N = batch, C = classes, D = embedding size

from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses as reference_losses

from histsearch.losses.proxy_anchor_loss import ProxyAnchorLoss

C, D = 7, 12


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("alpha", "delta"), [(32.0, 0.1), (8.0, 0.3), (64.0, 0.0)])
def test_loss_and_gradients_are_those_of_pytorch_metric_learning(
    seed: int, alpha: float, delta: float
) -> None:
    torch.manual_seed(seed)
    ours = ProxyAnchorLoss(C, D, alpha=alpha, delta=delta).double()
    theirs = reference_losses.ProxyAnchorLoss(C, D, margin=delta, alpha=alpha).double()
    theirs.proxies.data.copy_(ours.proxies.data)
    labels_N = torch.randint(0, C - 2, (16,))  # two classes have no positives
    embeddings_ND = 3.0 * torch.randn(16, D, dtype=torch.float64)

    found = _with_gradients(ours, embeddings_ND, labels_N)
    expected = _with_gradients(theirs, embeddings_ND, labels_N)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def _with_gradients(loss: Any, embeddings_ND: torch.Tensor, labels_N: torch.Tensor) -> Any:
    inputs_ND = embeddings_ND.clone().requires_grad_()
    value = loss(inputs_ND, labels_N)
    value.backward()
    return value.detach(), inputs_ND.grad, loss.proxies.grad


def test_exponents_beyond_float32_stay_finite() -> None:
    loss = ProxyAnchorLoss(C, D, alpha=1e4)
    value = loss(torch.randn(4, D), torch.tensor([0, 1, 2, 3]))
    assert torch.isfinite(value)


def test_half_precision_embeddings_are_computed_in_the_proxies_dtype() -> None:
    loss = ProxyAnchorLoss(C, D)
    embeddings_ND, labels_N = torch.randn(4, D), torch.tensor([0, 1, 2, 3])
    assert loss(embeddings_ND.half(), labels_N).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss(embeddings_ND, labels_N), loss(embeddings_ND, labels_N))
        inside = loss(embeddings_ND, labels_N)
    torch.testing.assert_close(inside, loss(embeddings_ND, labels_N), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0; it must be at least 1."),
        ({"embedding_size": 0}, "embedding_size is 0; it must be at least 1."),
        ({"alpha": 0.0}, "alpha is 0.0; it must be finite and above 0."),
        ({"delta": -0.1}, "delta is -0.1; it must be finite and at least 0."),
    ],
)
def test_arguments_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProxyAnchorLoss(**({"num_classes": C, "embedding_size": D} | changes))


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((4, D + 1), 4, r"The embeddings have shape \(4, 13\)"),
        ((0, D), 0, r"The embeddings have shape \(0, 12\)"),
        ((4, D), 3, r"The labels have shape \(3,\)"),
    ],
)
def test_batches_of_another_shape_are_refused(
    shape: tuple[int, int], labels: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ProxyAnchorLoss(C, D)(torch.randn(shape), torch.zeros(labels, dtype=torch.long))
