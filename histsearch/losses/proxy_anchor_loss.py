"""The Proxy-Anchor loss: each class's proxy is an anchor for the whole batch."""

# N = batch, C = classes, D = embedding size

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ProxyAnchorLoss(nn.Module):
    """The Proxy-Anchor loss (Kim et al., "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020).

    Equation 4, with s the cosine similarity of an embedding and a proxy: the mean over proxies that
    have positives in the batch of log(1 + Σ exp(−α (s − δ))) over these, plus the mean over all
    proxies of log(1 + Σ exp(α (s + δ))) over their negatives. Everything is computed in the dtype
    of the proxies, float32 or, after `.double()`, float64; autocast is ignored.

    Args:
        num_classes: C, at least 1.
        embedding_size: D, at least 1.
        alpha: α, the scale; above 0.
        delta: δ, the margin; at least 0.

    Attributes:
        proxies: (C, D) parameter, one proxy a class, normalised to unit length when used.

    Raises:
        ValueError: If an argument is outside the range given above.
    """

    def __init__(
        self, num_classes: int, embedding_size: int, *, alpha: float = 32.0, delta: float = 0.1
    ) -> None:
        super().__init__()
        for name, size in {"num_classes": num_classes, "embedding_size": embedding_size}.items():
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1.")
        if not 0 < alpha < math.inf:
            raise ValueError(f"alpha is {alpha}; it must be finite and above 0.")
        if not 0 <= delta < math.inf:
            raise ValueError(f"delta is {delta}; it must be finite and at least 0.")
        self.alpha = alpha
        self.delta = delta
        self.proxies = nn.Parameter(torch.empty(num_classes, embedding_size))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")

    def forward(self, embeddings_ND: Tensor, labels_N: Tensor) -> Tensor:
        """The loss of a batch as one scalar.

        Args:
            embeddings_ND: (N, D) embeddings, floating point, not normalised.
            labels_N: (N,) integer classes in 0..C−1, on any device.

        Raises:
            ValueError: If a shape is wrong, or the batch is empty.
        """
        self._check_batch(embeddings_ND, labels_N)
        device = embeddings_ND.device
        # A copy from the CPU to the GPU is safe without waiting; one in the other direction isn't.
        labels_N = labels_N.to(device, torch.int64, non_blocking=device.type == "cuda")
        with torch.autocast(device.type, enabled=False):
            x_ND = F.normalize(embeddings_ND.to(self.proxies.dtype))
            similarity_NC = x_ND @ F.normalize(self.proxies).T
            is_positive_NC = F.one_hot(labels_N, len(self.proxies)).bool()
            # log(1 + Σ exp) is a log-sum-exp with a zero beside, which no exponent can overflow.
            pull_C = _log_one_plus_sum(-self.alpha * (similarity_NC - self.delta), is_positive_NC)
            push_C = _log_one_plus_sum(self.alpha * (similarity_NC + self.delta), ~is_positive_NC)
            return pull_C.sum() / is_positive_NC.any(dim=0).sum() + push_C.mean()

    def _check_batch(self, embeddings_ND: Tensor, labels_N: Tensor) -> None:
        size = self.proxies.shape[1]
        if embeddings_ND.dim() != 2 or embeddings_ND.shape[1] != size or len(embeddings_ND) == 0:
            raise ValueError(
                f"The embeddings have shape {tuple(embeddings_ND.shape)}; "
                f"it must be (N, {size}), one row per sample, at least one."
            )
        if labels_N.shape != (len(embeddings_ND),):
            raise ValueError(
                f"The labels have shape {tuple(labels_N.shape)}; "
                f"it must be ({len(embeddings_ND)},), one label per embedding."
            )


def _log_one_plus_sum(exponents_NC: Tensor, counts_NC: Tensor) -> Tensor:
    """(C,) log(1 + Σ_N exp) over the samples that count; 0 where none does."""
    masked_NC = exponents_NC.masked_fill(~counts_NC, -math.inf)
    return F.pad(masked_NC, (0, 0, 0, 1)).logsumexp(dim=0)
