import copy
from dataclasses import dataclass
from random import Random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from histsearch.hist import HISTLoss
from histsearch.hist.distances import DistanceName

DISTANCES: tuple[DistanceName, ...] = ("mahalanobis", "euclidean", "cosine", "manhattan")


@dataclass
class Batch:
    loss: HISTLoss
    embeddings_ND: Tensor
    labels_N: Tensor

    def gradients(self) -> list[Tensor]:
        total = self.loss(self.embeddings_ND, self.labels_N)
        inputs = (self.embeddings_ND, self.loss.means)
        return [total, *torch.autograd.grad(total, inputs)]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    classes = draw(st.integers(1, 7))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=3, max_size=9))
    loss = HISTLoss(
        classes,
        5,
        tau=draw(st.floats(0.1, 40)),
        alpha=draw(st.floats(0, 3)),
        lambda_s=draw(st.floats(0, 2)),
        distance=draw(st.sampled_from(DISTANCES)),
        layers=draw(st.integers(1, 3)),
        hidden=6,
    ).double()
    embeddings_ND = torch.randn(len(labels), 5, dtype=torch.float64, requires_grad=True)
    return Batch(loss, embeddings_ND, torch.tensor(labels))


@settings(deadline=None, max_examples=20)
@given(batches(), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(batch: Batch, random: Random) -> None:
    order = random.sample(range(len(batch.labels_N)), len(batch.labels_N))
    total, grad_ND, grad_CD = batch.gradients()
    shuffled = Batch(batch.loss, batch.embeddings_ND[order], batch.labels_N[order])
    expected = [total, grad_ND[order], grad_CD]
    torch.testing.assert_close(shuffled.gradients(), expected, rtol=1e-7, atol=1e-7)


@settings(deadline=None, max_examples=20)
@given(batches(), st.randoms(use_true_random=False))
def test_the_order_of_the_classes_does_not_matter(batch: Batch, random: Random) -> None:
    classes = batch.loss.means.shape[0]
    order = torch.tensor(random.sample(range(classes), classes))
    renumbered = copy.deepcopy(batch.loss)
    output = renumbered.hgnn.output
    with torch.no_grad():
        for parameter in (renumbered.means, renumbered.log_vars, output.weight, output.bias):
            parameter.copy_(parameter[order])

    total, grad_ND, grad_CD = batch.gradients()
    found = Batch(renumbered, batch.embeddings_ND, order.argsort()[batch.labels_N]).gradients()
    torch.testing.assert_close(found, [total, grad_ND, grad_CD[order]], rtol=1e-7, atol=1e-7)


@settings(deadline=None, max_examples=20)
@given(batches(), st.floats(0.01, 100))
def test_the_length_of_an_embedding_does_not_change_the_distribution_loss(
    batch: Batch, length: float
) -> None:
    scaled_ND = torch.cat([length * batch.embeddings_ND[:1], batch.embeddings_ND[1:]])
    expected = batch.loss.terms(batch.embeddings_ND, batch.labels_N)
    found = batch.loss.terms(scaled_ND, batch.labels_N)
    torch.testing.assert_close(found.distribution, expected.distribution)
