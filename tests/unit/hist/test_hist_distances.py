from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from histsearch.hist import HISTLoss
from histsearch.hist.distances import DistanceName, distances_to_classes, unit_length

DISTANCES: tuple[DistanceName, ...] = ("mahalanobis", "euclidean", "cosine", "manhattan")
EXPANDED = DISTANCES[:3]


class OperationLog(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the sizes of the tensors made and the CUDA precision of the matrix products."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: list[int] = []
        self.precisions: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_):
            self.precisions.append(torch.backends.cuda.matmul.fp32_precision)
        result = func(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else [result]
        self.sizes += [tensor.numel() for tensor in made if isinstance(tensor, Tensor)]
        return result


def as_written(
    name: DistanceName, embeddings_ND: Tensor, means_CD: Tensor, log_vars_CD: Tensor
) -> Tensor:
    unit_ND, unit_CD = F.normalize(embeddings_ND), F.normalize(means_CD)
    difference_NCD = unit_ND[:, None] - unit_CD
    if name == "mahalanobis":
        return (difference_NCD.square() / F.relu6(log_vars_CD).exp()).sum(2)
    if name == "euclidean":
        return difference_NCD.square().sum(2)
    if name == "cosine":
        return 1 - (unit_ND[:, None] * unit_CD).sum(2)
    return difference_NCD.abs().sum(2)


def make_arguments(n: int, c: int, d: int) -> list[Tensor]:
    """Embeddings, means and log-variances, some of these where relu6 is flat."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((n, d), (c, d), (c, d))
    tensors = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    tensors[2] = 3 + 4 * tensors[2]
    return [tensor.requires_grad_() for tensor in tensors]


def gradients(distances_NC: Tensor, arguments: list[Tensor]) -> list[Tensor]:
    weights_NC = torch.linspace(-1, 1, distances_NC.numel()).view_as(distances_NC)
    found = torch.autograd.grad(
        (distances_NC * weights_NC).sum(), arguments, allow_unused=True, materialize_grads=True
    )
    return list(found)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_and_gradients_are_those_of_the_formula(name: DistanceName) -> None:
    # More classes than one chunk holds, with a last chunk that isn't full.
    arguments = make_arguments(3, 1100, 256)
    found_NC = distances_to_classes(name, *arguments)
    expected_NC = as_written(name, *arguments)
    torch.testing.assert_close(found_NC, expected_NC, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        gradients(found_NC, arguments), gradients(expected_NC, arguments), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("name", DISTANCES)
def test_gradients_agree_with_finite_differences(name: DistanceName) -> None:
    arguments = make_arguments(4, 5, 3)
    used = arguments if name == "mahalanobis" else arguments[:2]

    def distances(*tensors: Tensor) -> Tensor:
        return distances_to_classes(name, *tensors, *arguments[len(tensors) :])

    assert torch.autograd.gradcheck(distances, used)


@pytest.mark.parametrize("name", EXPANDED)
def test_float32_stays_precise_where_embedding_and_mean_coincide(name: DistanceName) -> None:
    exact = make_arguments(32, 32, 512)
    with torch.no_grad():
        exact[0].copy_(3 * exact[1] + 1e-5 * exact[0])
    single = [tensor.detach().float().requires_grad_() for tensor in exact]
    found_NC = distances_to_classes(name, *single)
    expected_NC = as_written(name, *exact)
    assert expected_NC.diagonal().max() < 1e-8
    assert found_NC.min() >= 0
    torch.testing.assert_close(found_NC.double(), expected_NC, rtol=0, atol=1e-6)
    for found, expected in zip(
        gradients(found_NC, single), gradients(expected_NC, exact), strict=True
    ):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_distance_rounded_below_zero_becomes_zero_and_keeps_its_gradient() -> None:
    # Directions 1e-4 apart: the distance, 5e-9, is lost in float32's rounding; its slope isn't.
    means_CD, offsets_CD, log_vars_CD = make_arguments(300, 300, 8)
    with torch.no_grad():
        embeddings_ND = unit_length(means_CD) + 1e-4 * unit_length(offsets_CD)
    exact = [embeddings_ND.requires_grad_(), means_CD, log_vars_CD]
    single = [tensor.detach().float().requires_grad_() for tensor in exact]

    found_N = distances_to_classes("cosine", *single).diagonal()
    expected_N = as_written("cosine", *exact).diagonal()
    rounded = found_N == 0
    assert rounded.sum() > 30
    assert expected_N.min() > 0
    (found_ND,) = torch.autograd.grad(found_N.sum(), single[0])
    (expected_ND,) = torch.autograd.grad(expected_N.sum(), exact[0])
    assert expected_ND[rounded].norm(dim=1).median() > 5e-5
    torch.testing.assert_close(found_ND.double(), expected_ND, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", DISTANCES)
def test_no_tensor_of_a_training_step_comes_near_batch_by_classes_by_size(
    name: DistanceName,
) -> None:
    n, c, d = 32, 2000, 64
    loss = HISTLoss(c, d, tau=1, alpha=1, lambda_s=1, distance=name, hidden=8)
    embeddings_ND = torch.randn(n, d, requires_grad=True)
    with OperationLog() as log:
        loss(embeddings_ND, torch.arange(n)).backward()
    assert max(log.sizes) < n * c * d / 12


@pytest.fixture
def tf32_on() -> Iterator[None]:
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    yield
    torch.backends.cuda.matmul.fp32_precision = before


@pytest.mark.usefixtures("tf32_on")
@pytest.mark.parametrize("name", EXPANDED)
def test_products_run_in_full_float32_while_tf32_is_on(name: DistanceName) -> None:
    arguments = make_arguments(4, 5, 3)
    with OperationLog() as log:
        distances_to_classes(name, *arguments).sum().backward()  # type: ignore[no-untyped-call]
    assert len(log.precisions) >= 3
    assert set(log.precisions) == {"ieee"}
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"


@pytest.mark.parametrize("name", EXPANDED)
def test_autocast_around_forward_and_backward_changes_nothing(name: DistanceName) -> None:
    arguments = [tensor.detach().float().requires_grad_() for tensor in make_arguments(4, 5, 3)]
    expected_NC = distances_to_classes(name, *arguments)
    expected = gradients(expected_NC, arguments)
    with torch.autocast("cpu", torch.bfloat16):
        found_NC = distances_to_classes(name, *arguments)
        found = gradients(found_NC, arguments)
    assert torch.equal(found_NC, expected_NC)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
