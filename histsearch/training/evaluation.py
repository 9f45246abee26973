"""Retrieval quality of a network on images it was not trained on."""

# N = images, D = embedding size

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from histsearch.data.batches import EvaluationImages
from histsearch.data.image_set import ImageSet
from histsearch.models.network import EmbeddingNetwork
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.transforms import test_transform
from histsearch.retrieval.recall import recall_at_k

_BATCH_SIZE = 128


@torch.no_grad()
def embed(
    network: EmbeddingNetwork,
    images: ImageSet,
    preprocessing: Preprocessing,
    *,
    device: torch.device,
    loader_processes: int = 0,
) -> Tensor:
    """Embed every image with the test transform.

    Returns:
        (N, D) float32 embeddings on the CPU, in the order of ``images``, not normalised. The
        network is left in evaluation mode.
    """
    network.eval()
    loader: DataLoader[tuple[Tensor, int]] = DataLoader(
        EvaluationImages(images, test_transform(preprocessing)),
        batch_size=_BATCH_SIZE,
        num_workers=loader_processes,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),
    )
    embeddings = [
        network(images_N3HW.to(device, non_blocking=True)).float().cpu()
        for images_N3HW, _ in loader
    ]
    return torch.cat(embeddings)


def recall(
    network: EmbeddingNetwork,
    queries: ImageSet,
    preprocessing: Preprocessing,
    ks: Sequence[int],
    *,
    gallery: ImageSet | None = None,
    device: torch.device,
    loader_processes: int = 0,
) -> dict[int, float]:
    """Recall at every k in ``ks``, as fractions in [0, 1].

    Without a gallery each query ranks the other queries; with one (In-Shop) it ranks the gallery.
    """
    query_labels_N = torch.as_tensor(queries.labels_N)
    query_ND = embed(
        network, queries, preprocessing, device=device, loader_processes=loader_processes
    )
    if gallery is None:
        return recall_at_k(query_ND, query_labels_N, ks)
    gallery_MD = embed(
        network, gallery, preprocessing, device=device, loader_processes=loader_processes
    )
    return recall_at_k(
        query_ND,
        query_labels_N,
        ks,
        gallery_MD=gallery_MD,
        gallery_labels_M=torch.as_tensor(gallery.labels_N),
    )
