import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from histsearch.hist import HISTLoss
from histsearch.hist.hypergraph import incidence, propagation

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = json.loads((GOLDEN / "hist_loss_cases.json").read_text(encoding="utf-8"))
FIGURES = dict(np.load(GOLDEN / "hist_loss.npz"))
DISTANCES = ("mahalanobis", "euclidean", "cosine", "manhattan")


def make_loss(**changes: Any) -> HISTLoss:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "num_classes": 6,
        "embedding_size": 4,
        "tau": 32,
        "alpha": 0.9,
        "lambda_s": 1,
        "hidden": 5,
    }
    return HISTLoss(**(settings | changes))


def make_batch(samples: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    embeddings_ND = torch.randn(samples, 4, generator=generator)
    return embeddings_ND, torch.arange(samples) % 3


def linear_layers(loss: HISTLoss) -> list[nn.Linear]:
    return [module for module in loss.hgnn.modules() if isinstance(module, nn.Linear)]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=["f64", "f32"]
)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['case']}-{c['distance']}-L{c['layers']}")
def test_every_figure_of_the_reference_is_matched(
    case: dict[str, Any], dtype: torch.dtype, tolerance: float
) -> None:
    def figure(name: str) -> Tensor:
        return torch.from_numpy(FIGURES[f"{case['case']}_{name}"])

    settings = {key: value for key, value in case.items() if key != "case"}
    loss = HISTLoss(10, 16, **settings).to(dtype)
    layers = linear_layers(loss)
    with torch.no_grad():
        loss.means.copy_(figure("means"))
        loss.log_vars.copy_(figure("log_vars"))
        for index, layer in enumerate(layers):
            layer.weight.copy_(figure(f"theta{index}_weight"))
            layer.bias.copy_(figure(f"theta{index}_bias"))
    x_ND = torch.from_numpy(FIGURES["x"]).to(dtype).requires_grad_()
    labels_N = torch.from_numpy(FIGURES["labels"])

    terms = loss.terms(x_ND, labels_N)
    terms.total.backward()  # type: ignore[no-untyped-call]
    incidence_NE = incidence(loss.distances(x_ND), labels_N, torch.unique(labels_N), case["alpha"])

    if loss.log_vars.grad is None:  # the reference reports zeros where they are unused
        loss.log_vars.grad = torch.zeros_like(loss.log_vars)
    found = {
        "loss": terms.total,
        "distribution_loss": terms.distribution,
        "ce_loss": terms.cross_entropy,
        "incidence": incidence_NE,
        "logits": loss.hgnn(x_ND, incidence_NE),
        "grad_x": x_ND.grad,
        "grad_means": loss.means.grad,
        "grad_log_vars": loss.log_vars.grad,
        "grad_theta0_weight": layers[0].weight.grad,
    }
    for name, tensor in found.items():
        # |found - expected| <= tolerance * (1 + |expected|), element by element
        torch.testing.assert_close(
            tensor, figure(name).to(dtype), rtol=tolerance, atol=tolerance, msg=name.__add__
        )


def test_calling_the_loss_returns_the_total_of_its_terms() -> None:
    loss = make_loss(lambda_s=0.5)
    batch = make_batch()
    terms = loss.terms(*batch)
    torch.testing.assert_close(terms.total, terms.distribution + 0.5 * terms.cross_entropy)
    assert torch.equal(loss(*batch), terms.total)
    assert terms.total.shape == ()


def test_a_sample_far_from_its_class_keeps_its_share_of_the_loss() -> None:
    # Its probability underflows: a softmax followed by a logarithm would lose it.
    loss = make_loss(num_classes=2, tau=1000, distance="euclidean")
    with torch.no_grad():
        loss.means.copy_(torch.tensor([[1.0, 0, 0, 0], [-1, 0, 0, 0]]))
    embeddings_ND = torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0]])
    terms = loss.terms(embeddings_ND, torch.tensor([0, 1]))
    assert terms.distribution.item() == pytest.approx(2000)


def test_optimiser_groups_hold_every_parameter_once() -> None:
    loss = make_loss()
    grouped = [*loss.distribution_parameters(), *loss.hgnn.parameters()]
    assert [id(p) for p in grouped] == [id(p) for p in loss.parameters()]
    assert loss.distribution_parameters()[0] is loss.means
    assert loss.distribution_parameters()[1] is loss.log_vars


def test_distribution_parameters_start_he_normal_over_the_classes() -> None:
    loss = make_loss(num_classes=500, embedding_size=200)
    for parameter in loss.distribution_parameters():
        assert parameter.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.02)


@pytest.mark.parametrize("layers", [1, 2, 5, 7])
def test_layers_count_the_output_layer(layers: int) -> None:
    loss = make_loss(layers=layers)
    sizes = [(layer.in_features, layer.out_features) for layer in linear_layers(loss)]
    assert sizes == list(zip([4] + [5] * (layers - 1), [5] * (layers - 1) + [6], strict=True))
    assert loss(*make_batch()).isfinite()


def test_propagation_of_a_known_hypergraph() -> None:
    # Two samples in one hyperedge, the second also in another to the degree 3.
    incidence_NE = torch.tensor([[1.0, 0], [1, 3]])
    expected_NN = torch.tensor([[1 / 2, 1 / 4], [1 / 4, (1 / 2 + 3) / 4]])
    torch.testing.assert_close(propagation(incidence_NE), expected_NN)


def test_a_batch_of_one_class_has_a_loss_and_gradients() -> None:
    loss = make_loss()
    embeddings_ND, labels_N = make_batch()
    loss(embeddings_ND, torch.full_like(labels_N, 2)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())


def test_one_sample_is_refused_where_batches_are_normalised() -> None:
    with pytest.raises(ValueError, match="holds 1 sample; training needs 2 or more"):
        make_loss()(*make_batch(1))


def test_one_sample_is_enough_in_evaluation_or_without_hidden_layers() -> None:
    assert make_loss().eval()(*make_batch(1)).isfinite()
    assert make_loss(layers=1)(*make_batch(1)).isfinite()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("distance", DISTANCES)
def test_a_non_finite_embedding_gives_non_finite_terms(distance: str, value: float) -> None:
    embeddings_ND, labels_N = make_batch()
    embeddings_ND[3, 1] = value
    terms = make_loss(distance=distance).terms(embeddings_ND, labels_N)
    assert not any(term.isfinite() for term in terms)


@pytest.mark.parametrize("parameter", ["means", "log_vars"])
def test_a_non_finite_parameter_gives_a_non_finite_loss(parameter: str) -> None:
    loss = make_loss()
    with torch.no_grad():
        loss.get_parameter(parameter)[0, 0] = float("nan")
    assert not loss(*make_batch()).isfinite()


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_zero_embedding_or_mean_gets_no_gradient_from_its_distances(distance: str) -> None:
    loss = make_loss(distance=distance)
    embeddings_ND, _ = make_batch()
    embeddings_ND[2] = 0
    embeddings_ND.requires_grad_()
    with torch.no_grad():
        loss.means[1] = 0
    distances_NC = loss.distances(embeddings_ND)
    distances_NC.sum().backward()  # type: ignore[no-untyped-call]
    assert distances_NC.isfinite().all()
    for grad, zero_row in ((embeddings_ND.grad, 2), (loss.means.grad, 1)):
        assert grad is not None
        assert grad.isfinite().all()
        assert (grad.count_nonzero(dim=1) == 0).nonzero().flatten().tolist() == [zero_row]


def test_labels_may_be_of_any_integer_type() -> None:
    loss = make_loss()
    embeddings_ND, labels_N = make_batch()
    expected = loss(embeddings_ND, labels_N)
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        assert torch.equal(loss(embeddings_ND, labels_N.to(dtype)), expected)


def with_label(value: int) -> Tensor:
    _, labels_N = make_batch()
    labels_N[5] = value
    return labels_N


@pytest.mark.parametrize(
    ("make_arguments", "message"),
    [
        (lambda x, _: (x, with_label(6)), r"from 0 to 6; with 6 classes .* within 0\.\.5"),
        (lambda x, _: (x, with_label(-1)), r"from -1 to 2; with 6 classes .* within 0\.\.5"),
        (lambda x, y: (x, y.double()), r"labels are of dtype torch\.float64"),
        (lambda x, y: (x, y.bool()), r"labels are of dtype torch\.bool"),
        (lambda x, y: (x, y[:, None]), r"labels have shape \(8, 1\); it must be \(8,\)"),
        (lambda x, y: (x, y[:7]), r"labels have shape \(7,\); it must be \(8,\)"),
        (lambda x, y: (x[:, :3], y), r"embeddings have shape \(8, 3\); it must be \(N, 4\)"),
        (lambda x, y: (x[0], y), r"embeddings have shape \(4,\); it must be \(N, 4\)"),
        (lambda x, y: (x.long(), y), r"embeddings are of dtype torch\.int64"),
        (lambda x, y: (x[:0], y[:0]), r"The batch is empty"),
    ],
)
def test_a_bad_batch_is_refused_with_what_was_found(
    make_arguments: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_loss()(*make_arguments(*make_batch()))


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("num_classes", 0, "num_classes is 0; it must be at least 1"),
        ("embedding_size", -4, "embedding_size is -4; it must be at least 1"),
        ("layers", 0, "layers is 0; it must be at least 1"),
        ("hidden", 0, "hidden is 0; it must be at least 1"),
        ("tau", 0, "tau is 0; it must be finite and above 0"),
        ("tau", float("nan"), "tau is nan; it must be finite"),
        ("alpha", -0.1, r"alpha is -0\.1; it must be finite and at least 0"),
        ("lambda_s", float("inf"), "lambda_s is inf; it must be finite"),
        ("distance", "l2", "distance is 'l2'; it must be one of mahalanobis, euclidean, cosine, "),
    ],
)
def test_a_bad_setting_is_refused_with_what_is_allowed(
    argument: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_loss(**{argument: value})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_and_half_precision_embeddings_are_computed_in_float32(
    dtype: torch.dtype,
) -> None:
    loss = make_loss()
    embeddings_ND, labels_N = make_batch()
    half_ND = embeddings_ND.to(dtype)
    expected = loss(half_ND.float(), labels_N)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(half_ND, labels_N)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
