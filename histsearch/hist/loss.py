"""The HIST loss: class distributions and a hypergraph network, learned with the embeddings."""

# N = batch, C = classes, D = embedding size, E = classes present in the batch

import math
from typing import NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histsearch.hist.distances import DistanceName, distances_to_classes
from histsearch.hist.hypergraph import HGNN, incidence

_LABEL_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class HISTLossTerms(NamedTuple):
    """The loss of a batch and the two terms it is made of, each a scalar tensor.

    Attributes:
        total: distribution + λs · cross_entropy.
        distribution: Mean of −log softmax(−τ · distance) at each sample's own class.
        cross_entropy: Mean cross-entropy of the HGNN's logits, not yet multiplied by λs.
    """

    total: Tensor
    distribution: Tensor
    cross_entropy: Tensor


class HISTLoss(nn.Module):
    """The HIST loss (Lim et al., CVPR 2022; Yuan & Le-Phuoc, ReScience C 9.2 (#8), 2023).

    Each class c is a Gaussian with a learned mean and diagonal variance exp(relu6(log_vars)). The
    distribution loss pulls embeddings towards their class's distribution; the classes present in
    the batch then become the hyperedges of a hypergraph on which a hypergraph neural network
    (HGNN) classifies the raw embeddings. The loss is their sum, the second weighted by λs.

        loss = HISTLoss(num_classes=100, embedding_size=512, tau=32, alpha=0.9, lambda_s=1.0)
        loss(model(images), labels).backward()

    The loss has parameters of its own, which the optimiser must be given:
    `distribution_parameters()` and `hgnn.parameters()`, usually with a learning rate for each.

    No N×C×D tensor is built, so time and memory grow linearly in C. Everything is computed in the
    dtype of the parameters, float32 or, after `.double()`, float64: embeddings of another dtype
    are cast, autocast is ignored, and the distances ignore TF32 as well.

    A non-finite embedding isn't refused, since looking for one would make the GPU wait: it gives a
    non-finite loss. An all-zero embedding is legal; it lies at x̂ = 0 and gets no gradient from its
    distances.

    Args:
        num_classes: C, at least 1.
        embedding_size: D, at least 1.
        tau: τ, multiplies the distances in the distribution loss; above 0.
        alpha: α, multiplies the distances in the incidence matrix; at least 0.
        lambda_s: λs, the weight of the HGNN's cross-entropy; at least 0.
        distance: "mahalanobis" (squared), "euclidean" (squared), "cosine" or "manhattan" (Table 4
            of the reproduction). `log_vars` is used by the first alone, and gets no gradient from
            the others.
        layers: Layers of the HGNN including its output layer, at least 1.
        hidden: Features of each hidden layer of the HGNN, at least 1.

    Attributes:
        means: (C, D) parameter, the class means; normalised to unit length when used.
        log_vars: (C, D) parameter, the logarithms of the class variances, used within 0..6.
        hgnn: The hypergraph neural network.

    Raises:
        ValueError: If an argument is outside the range given above.
    """

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        tau: float,
        alpha: float,
        lambda_s: float,
        distance: DistanceName = "mahalanobis",
        layers: int = 2,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        sizes = {
            "num_classes": num_classes,
            "embedding_size": embedding_size,
            "layers": layers,
            "hidden": hidden,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1.")
        if not 0 < tau < math.inf:
            raise ValueError(f"tau is {tau}; it must be finite and above 0.")
        for name, weight in {"alpha": alpha, "lambda_s": lambda_s}.items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} is {weight}; it must be finite and at least 0.")
        if distance not in get_args(DistanceName):
            allowed = ", ".join(get_args(DistanceName))
            raise ValueError(f"distance is {distance!r}; it must be one of {allowed}.")

        self.tau = tau
        self.alpha = alpha
        self.lambda_s = lambda_s
        self.distance: DistanceName = distance
        self.means = nn.Parameter(torch.empty(num_classes, embedding_size))
        self.log_vars = nn.Parameter(torch.empty(num_classes, embedding_size))
        for parameter in self.distribution_parameters():
            nn.init.kaiming_normal_(parameter, mode="fan_out")
        self.hgnn = HGNN(embedding_size, num_classes, layers=layers, hidden=hidden)

    def distribution_parameters(self) -> list[nn.Parameter]:
        """The class means and log-variances, an optimiser group of their own."""
        return [self.means, self.log_vars]

    def forward(self, embeddings_ND: Tensor, labels_N: Tensor) -> Tensor:
        """The loss of a batch as one scalar; `terms` documents arguments and errors."""
        return self.terms(embeddings_ND, labels_N).total

    def terms(self, embeddings_ND: Tensor, labels_N: Tensor) -> HISTLossTerms:
        """The loss of a batch and its two terms.

        Labels on a GPU make the CPU wait for it once per call, to check their range and find the
        distinct ones; labels left on the CPU avoid that wait and are copied over.

        Args:
            embeddings_ND: (N, D) embeddings, floating point, not normalised.
            labels_N: (N,) integer classes in 0..C−1, on any device. One class alone is fine.

        Returns:
            The total, the distribution loss and the cross-entropy; non-finite where an embedding
            or a parameter is.

        Raises:
            ValueError: If a shape or dtype is wrong, a label is outside 0..C−1, the batch is empty,
                or the batch holds one sample while the HGNN trains hidden layers, whose batch
                normalisation needs two.
        """
        self._check_batch(embeddings_ND, labels_N)
        device = embeddings_ND.device
        # A copy from the CPU to the GPU is safe without waiting; one in the other direction isn't.
        to_gpu = device.type == "cuda"
        classes_E = self._classes_of(labels_N).to(device, non_blocking=to_gpu)
        labels_N = labels_N.to(device, torch.int64, non_blocking=to_gpu)
        with torch.autocast(device.type, enabled=False):
            embeddings_ND = embeddings_ND.to(self.means.dtype)
            distances_NC = self.distances(embeddings_ND)
            incidence_NE = incidence(distances_NC, labels_N, classes_E, self.alpha)
            logits_NC = self.hgnn(embeddings_ND, incidence_NE)
            distribution = F.cross_entropy(-self.tau * distances_NC, labels_N)
            cross_entropy = F.cross_entropy(logits_NC, labels_N)
            total = distribution + self.lambda_s * cross_entropy
        return HISTLossTerms(total, distribution, cross_entropy)

    def distances(self, embeddings_ND: Tensor) -> Tensor:
        """The (N, C) distances of (N, D) embeddings, of the parameters' dtype, to all classes."""
        return distances_to_classes(self.distance, embeddings_ND, self.means, self.log_vars)

    def _check_batch(self, embeddings_ND: Tensor, labels_N: Tensor) -> None:
        size = self.means.shape[1]
        if embeddings_ND.dim() != 2 or embeddings_ND.shape[1] != size:
            raise ValueError(
                f"The embeddings have shape {tuple(embeddings_ND.shape)}; "
                f"it must be (N, {size}), one row per sample."
            )
        if not embeddings_ND.is_floating_point():
            raise ValueError(
                f"The embeddings are of dtype {embeddings_ND.dtype}; it must be floating point."
            )
        samples = len(embeddings_ND)
        if labels_N.shape != (samples,):
            raise ValueError(
                f"The labels have shape {tuple(labels_N.shape)}; "
                f"it must be ({samples},), one label per embedding."
            )
        if labels_N.dtype not in _LABEL_DTYPES:
            raise ValueError(
                f"The labels are of dtype {labels_N.dtype}; it must be an integer type."
            )
        if samples == 0:
            raise ValueError("The batch is empty; it must hold at least 1 sample.")
        if samples == 1 and self.training and len(self.hgnn.norms) > 0:
            raise ValueError(
                "The batch holds 1 sample; training needs 2 or more, because the hidden layers of "
                "the HGNN normalise over the batch."
            )

    def _classes_of(self, labels_N: Tensor) -> Tensor:
        """The sorted distinct classes of a batch, after checking their range."""
        classes_E: Tensor = torch.unique(labels_N).to(torch.int64)
        lowest, highest = classes_E[[0, -1]].tolist()
        num_classes = self.means.shape[0]
        if lowest < 0 or highest >= num_classes:
            raise ValueError(
                f"The labels range from {lowest} to {highest}; "
                f"with {num_classes} classes they must lie within 0..{num_classes - 1}."
            )
        return classes_E
