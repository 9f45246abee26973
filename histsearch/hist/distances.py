"""Distances from embeddings to classes, computed without an N×C×D tensor.

The distances are those of HIST (Lim et al., CVPR 2022); Table 4 of Yuan & Le-Phuoc, ReScience C
9.2 (#8), 2023, compares them. Mahalanobis, euclidean and cosine are expanded into matrix products;
Manhattan, which has no such form, differentiates a few classes at a time.
"""

# N = batch, C = classes, D = embedding size, K = classes of one chunk

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, assert_never

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

DistanceName = Literal["mahalanobis", "euclidean", "cosine", "manhattan"]

# Below this length an embedding has no usable direction.
_SHORTEST = 1e-12

# Elements of a chunk's largest temporary: small enough for a CPU's cache (1 MB in float32), large
# enough to keep a GPU busy (64 MB).
_CHUNK_ELEMENTS_CPU = 2**18
_CHUNK_ELEMENTS_GPU = 2**24

# PyTorch 2.9 replaced the boolean flag; reading the old one after the new one was set raises.
_PRECISION_FLAG, _FULL_FLOAT32 = (
    ("fp32_precision", "ieee")
    if hasattr(torch.backends.cuda.matmul, "fp32_precision")
    else ("allow_tf32", False)
)


def unit_length(vectors_MD: Tensor) -> Tensor:
    """Scales each row to Euclidean length 1.

    A row shorter than 1e-12 has no usable direction: it becomes 0 and so does its gradient, which
    dividing by a small floor would make 1e12 times the upstream one.

    Args:
        vectors_MD: M vectors of D components.

    Returns:
        The (M, D) unit vectors; a NaN or infinite component gives a NaN in its row.
    """
    return vectors_MD * _inverse_length(vectors_MD)


def distances_to_classes(
    name: DistanceName, embeddings_ND: Tensor, means_CD: Tensor, log_vars_CD: Tensor
) -> Tensor:
    """Distance of every embedding to every class, both L2-normalised first.

    With x̂ and μ̂ the unit vectors and σ² = exp(relu6(log_vars)):

    - mahalanobis: Σ_d (x̂ − μ̂)² / σ², squared, with diagonal covariance
    - euclidean: Σ_d (x̂ − μ̂)², squared
    - cosine: 1 − x̂·μ̂
    - manhattan: Σ_d |x̂ − μ̂|

    No distance is negative: what rounding leaves below 0 in an expanded form is set to 0. The
    gradient stays that of the exact expression, which tends to 0 there by itself. Matrix products
    run in full float32 precision, whatever autocast and TF32 settings surround the call.

    Args:
        name: Which distance.
        embeddings_ND: (N, D) embeddings, of the dtype of the classes.
        means_CD: (C, D) class means.
        log_vars_CD: (C, D) logarithms of the class variances, used by mahalanobis alone.

    Returns:
        The (N, C) distances.
    """
    unit_ND = unit_length(embeddings_ND)
    distances_NC: Tensor
    match name:
        case "mahalanobis":
            distances_NC = _Mahalanobis.apply(unit_ND, means_CD, log_vars_CD)
        case "euclidean":
            unit_CD = unit_length(means_CD)
            squares_NC = unit_ND.square().sum(1, keepdim=True) + unit_CD.square().sum(1)
            distances_NC = squares_NC - 2 * _Product.apply(unit_ND, unit_CD)
        case "cosine":
            distances_NC = 1 - _Product.apply(unit_ND, unit_length(means_CD))
        case "manhattan":
            distances_NC = _Manhattan.apply(unit_ND, unit_length(means_CD))
        case _:
            assert_never(name)
    with torch.no_grad():
        return distances_NC.clamp_(min=0)


class _Product(torch.autograd.Function):
    """left @ right.T in full float32 precision, backward included."""

    @staticmethod
    def forward(ctx: Any, left_ND: Tensor, right_CD: Tensor) -> Tensor:
        ctx.save_for_backward(left_ND, right_CD)
        with _full_precision(left_ND.device):
            return left_ND @ right_CD.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NC: Tensor) -> tuple[Tensor, Tensor]:
        left_ND, right_CD = ctx.saved_tensors
        with _full_precision(left_ND.device):
            return grad_NC @ right_CD, grad_NC.T @ left_ND


class _Mahalanobis(torch.autograd.Function):
    """Squared Mahalanobis distances of unit vectors to classes, a chunk of classes at a time.

    With w = 1/σ² = exp(−relu6(log_vars)), the distance expands into two matrix products:
    d²(i,c) = Σ_d x̂²w − 2 Σ_d x̂(μ̂w) + Σ_d μ̂²w. For an upstream gradient g(i,c), written as the
    matrix g and its sum s over the batch:

    - ∂/∂x̂ = 2 (x̂ ∘ gw − g(μ̂w))
    - ∂/∂μ̂ = 2w ∘ (μ̂s − gᵀx̂), and ∂/∂μ = (∂/∂μ̂ − μ̂ (μ̂·∂/∂μ̂)) / ‖μ‖
    - ∂/∂w = gᵀx̂² − 2μ̂ ∘ gᵀx̂ + μ̂²s, and ∂w/∂log_vars = −w between 0 and 6, else 0

    Autograd gives the same from the expansion at the price of about ten C×D temporaries. Here the
    temporaries of a chunk stay in cache and only the inputs are kept for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, unit_ND: Tensor, means_CD: Tensor, log_vars_CD: Tensor) -> Tensor:
        ctx.save_for_backward(unit_ND, means_CD, log_vars_CD)
        squares_ND = unit_ND.square()
        distances: list[Tensor] = []
        with _full_precision(unit_ND.device):
            for means_KD, log_vars_KD in _class_chunks(means_CD.shape[1], means_CD, log_vars_CD):
                unit_KD = unit_length(means_KD)
                precision_KD = _precision(log_vars_KD)
                scaled_KD = unit_KD * precision_KD
                offset_K = torch.linalg.vecdot(unit_KD, scaled_KD)
                distances_NK = torch.addmm(offset_K, squares_ND, precision_KD.T)
                distances.append(distances_NK.addmm_(unit_ND, scaled_KD.T, alpha=-2))
        return torch.cat(distances, dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        unit_ND, means_CD, log_vars_CD = ctx.saved_tensors
        squares_ND = unit_ND.square()
        grad_precision_ND = torch.zeros_like(unit_ND)  # gw
        grad_scaled_ND = torch.zeros_like(unit_ND)  # g(μ̂w)
        grad_means_CD = torch.empty_like(means_CD)
        grad_log_vars_CD = torch.empty_like(log_vars_CD)
        chunks = _class_chunks(
            means_CD.shape[1], means_CD, log_vars_CD, grad_NC.T, grad_means_CD, grad_log_vars_CD
        )
        with _full_precision(unit_ND.device):
            for means_KD, log_vars_KD, grad_KN, grad_means_KD, grad_log_vars_KD in chunks:
                inverse_K1 = _inverse_length(means_KD)
                unit_KD = means_KD * inverse_K1
                precision_KD = _precision(log_vars_KD)
                grad_precision_ND.addmm_(grad_KN.T, precision_KD)
                grad_scaled_ND.addmm_(grad_KN.T, unit_KD * precision_KD)

                product_KD = grad_KN @ unit_ND
                excess_KD = unit_KD * grad_KN.sum(1, keepdim=True) - product_KD  # μ̂s − gᵀx̂
                grad_unit_KD = 2 * precision_KD * excess_KD
                along_K1 = torch.linalg.vecdot(unit_KD, grad_unit_KD)[:, None]
                torch.mul(grad_unit_KD - unit_KD * along_K1, inverse_K1, out=grad_means_KD)

                inside_KD = (log_vars_KD > 0) & (log_vars_KD < 6)
                grad_w_KD = grad_KN @ squares_ND + unit_KD * (excess_KD - product_KD)
                torch.mul(grad_w_KD, -precision_KD * inside_KD, out=grad_log_vars_KD)
        grad_unit_ND = 2 * (unit_ND * grad_precision_ND - grad_scaled_ND)
        return grad_unit_ND, grad_means_CD, grad_log_vars_CD


class _Manhattan(torch.autograd.Function):
    """Manhattan distances of unit vectors.

    The gradient is found a chunk of classes at a time: that of `torch.cdist` would allocate an
    N×C×D tensor on a GPU.
    """

    @staticmethod
    def forward(ctx: Any, unit_ND: Tensor, unit_CD: Tensor) -> Tensor:
        ctx.save_for_backward(unit_ND, unit_CD)
        return torch.cdist(unit_ND, unit_CD, p=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NC: Tensor) -> tuple[Tensor, Tensor]:
        unit_ND, unit_CD = ctx.saved_tensors
        grad_unit_ND = torch.zeros_like(unit_ND)
        grad_unit_CD = torch.empty_like(unit_CD)
        chunks = _class_chunks(unit_ND.numel(), unit_CD, grad_NC.T, grad_unit_CD)
        for unit_KD, grad_KN, grad_unit_KD in chunks:
            signs_KND = (unit_ND - unit_KD[:, None]).sign_().mul_(grad_KN[:, :, None])
            grad_unit_ND += signs_KND.sum(0)
            torch.sum(signs_KND, 1, out=grad_unit_KD).neg_()
        return grad_unit_ND, grad_unit_CD


def _inverse_length(vectors_MD: Tensor) -> Tensor:
    """1/‖v‖ of each row as an (M, 1) column; 0 for a row without a direction."""
    length_M1 = torch.linalg.vector_norm(vectors_MD, dim=1, keepdim=True)
    inverse_M1: Tensor = length_M1.masked_fill(length_M1 < _SHORTEST, torch.inf).reciprocal()
    return inverse_M1


def _precision(log_vars_KD: Tensor) -> Tensor:
    """1/σ², between e⁻⁶ and 1."""
    return F.relu6(log_vars_KD).neg_().exp_()


def _class_chunks(elements_per_class: int, *by_class: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Splits tensors along their first axis, the classes, into views that walk in step."""
    on_cpu = by_class[0].device.type == "cpu"
    elements = _CHUNK_ELEMENTS_CPU if on_cpu else _CHUNK_ELEMENTS_GPU
    classes = max(1, elements // elements_per_class)
    return zip(*(torch.split(tensor, classes) for tensor in by_class), strict=True)


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Turns autocast and TF32 off: TF32 would lose three digits of d², which τ then multiplies."""
    flags = torch.backends.cuda.matmul
    before = getattr(flags, _PRECISION_FLAG)
    setattr(flags, _PRECISION_FLAG, _FULL_FLOAT32)
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        setattr(flags, _PRECISION_FLAG, before)
