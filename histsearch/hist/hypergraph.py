"""The batch as a hypergraph whose hyperedges are its classes, and the network (HGNN) over it.

From HIST (Lim et al., CVPR 2022): the samples are the vertices, each class present in the batch is
a hyperedge, and every vertex belongs to every hyperedge to the degree its distance allows.
"""

# N = batch, C = classes, D = embedding size, E = classes present in the batch,
# F = features entering a layer

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def incidence(distances_NC: Tensor, labels_N: Tensor, classes_E: Tensor, alpha: float) -> Tensor:
    """Degree to which each sample belongs to each class of the batch.

    It is 1 for a sample's own class and exp(−α · distance) for the others; gradients flow through
    the latter.

    Args:
        distances_NC: (N, C) distances of the samples to all classes.
        labels_N: (N,) integer class of each sample.
        classes_E: (E,) distinct classes of the batch; they order the columns.
        alpha: Scale of the distance, at least 0.

    Returns:
        The (N, E) incidence matrix H.
    """
    member_NE = labels_N[:, None] == classes_E
    return torch.exp(-alpha * distances_NC[:, classes_E]).masked_fill(member_NE, 1)


def propagation(incidence_NE: Tensor) -> Tensor:
    """Normalised propagation G = Dv^-½ H De^-1 Hᵀ Dv^-½ between the samples.

    Args:
        incidence_NE: (N, E) incidence matrix H, in which no row and no column sums to 0.

    Returns:
        The (N, N) matrix G; Dv holds the row sums of H and De its column sums.
    """
    scaled_NE = incidence_NE * incidence_NE.sum(1, keepdim=True).rsqrt()
    return (scaled_NE / incidence_NE.sum(0)) @ scaled_NE.T


class HGNN(nn.Module):
    """Hypergraph neural network that classifies the samples of a batch together.

    A hidden layer is LeakyReLU₀.₁(BatchNorm1d(G(ZΘ + b))), the output layer G(ZΘ + b). The linear
    layers keep PyTorch's initialisation.

    Args:
        embedding_size: D, the features of the first layer's input.
        num_classes: C, the outputs.
        layers: Layers including the output layer, at least 1.
        hidden: Features of each hidden layer.
    """

    def __init__(self, embedding_size: int, num_classes: int, *, layers: int, hidden: int) -> None:
        super().__init__()
        sizes = [embedding_size] + [hidden] * (layers - 1)
        self.hidden = nn.ModuleList(nn.Linear(size, hidden) for size in sizes[:-1])
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in self.hidden)
        self.output = nn.Linear(sizes[-1], num_classes)

    def forward(self, embeddings_ND: Tensor, incidence_NE: Tensor) -> Tensor:
        """Class logits of a batch.

        Args:
            embeddings_ND: (N, D) embeddings, not normalised.
            incidence_NE: (N, E) incidence matrix of the same samples.

        Returns:
            The (N, C) logits.
        """
        propagation_NN = propagation(incidence_NE)
        features_NF = embeddings_ND
        for linear, norm in zip(self.hidden, self.norms, strict=True):
            features_NF = F.leaky_relu(norm(propagation_NN @ linear(features_NF)), 0.1)
        logits_NC: Tensor = propagation_NN @ self.output(features_NF)
        return logits_NC
