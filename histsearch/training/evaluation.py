"""Retrieval quality of a network on images it was not trained on."""

# N = queries, M = gallery images, D = embedding size, H, W = image height and width

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from histsearch.data.batches import EvaluationImages
from histsearch.data.image_loader import ImageLoader
from histsearch.data.image_set import ImageSet
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.transforms import EvaluationCrop, Normalisation
from histsearch.retrieval.known_metrics import Metric
from histsearch.retrieval.measurement import measure
from histsearch.retrieval.nmi import normalized_mutual_information

BATCH_SIZE = 128
"""Images that are embedded at once."""


def _do_nothing() -> None:
    return None


@dataclass(frozen=True)
class EmbeddedImages:
    """Embeddings of images that look for their like.

    Attributes:
        query_ND: (N, D) embeddings of the queries, not normalised.
        query_labels_N: (N,) their classes.
        gallery_MD: (M, D) embeddings of the images they are ranked against (In-Shop); None where
            the queries are ranked against one another.
        gallery_labels_M: (M,) classes of the gallery.
    """

    query_ND: Tensor
    query_labels_N: Tensor
    gallery_MD: Tensor | None = None
    gallery_labels_M: Tensor | None = None

    @property
    def are_finite(self) -> bool:
        """Whether no embedding holds a NaN or an infinite value."""
        parts = (self.query_ND,) if self.gallery_MD is None else (self.query_ND, self.gallery_MD)
        return all(bool(torch.isfinite(part).all()) for part in parts)

    def measure(
        self, metrics: Iterable[Metric], on_chunk: Callable[[], object] = _do_nothing
    ) -> dict[str, float]:
        """Metrics by name, in [0, 1]; ``on_chunk`` is called after each part of the queries."""
        return measure(
            metrics,
            self.query_ND,
            self.query_labels_N,
            gallery_MD=self.gallery_MD,
            gallery_labels_M=self.gallery_labels_M,
            on_chunk=on_chunk,
        )

    def nmi(self, repeats: int, seed: int) -> float:
        """NMI of k-means clusterings of all images, queries and gallery, in [0, 1]."""
        if self.gallery_MD is None or self.gallery_labels_M is None:
            return normalized_mutual_information(self.query_ND, self.query_labels_N, repeats, seed)
        return normalized_mutual_information(
            torch.cat([self.query_ND, self.gallery_MD]),
            torch.cat([self.query_labels_N, self.gallery_labels_M]),
            repeats,
            seed,
        )


def embed_images(
    network: nn.Module,
    queries: EvaluationImages,
    gallery: EvaluationImages | None,
    preprocessing: Preprocessing,
    *,
    device: torch.device,
    loader: ImageLoader,
    on_batch: Callable[[], None] = _do_nothing,
) -> EmbeddedImages:
    """Embed queries, and their gallery where there is one, in float32.

    The network is left in evaluation mode; the embeddings stay on ``device``. ``on_batch`` is
    called before each batch; what it raises ends the work.
    """
    normalised = Normalisation(preprocessing, device)

    def embed(images: EvaluationImages) -> tuple[Tensor, Tensor]:
        embeddings_ND = _embed(network, images, normalised, loader, on_batch)
        return embeddings_ND, torch.as_tensor(images.labels_N, device=device)

    if gallery is None:
        return EmbeddedImages(*embed(queries))
    return EmbeddedImages(*embed(queries), *embed(gallery))


def evaluation_images(
    images: ImageSet,
    preprocessing: Preprocessing,
    processes: int,
    on_image: Callable[[], None] = _do_nothing,
) -> EvaluationImages:
    """Images as a network is shown them to embed.

    ``on_image`` is called after each image that is decoded to be kept; what it raises ends the
    work.
    """
    crops = images.formed(EvaluationCrop(preprocessing), processes, on_image)
    return EvaluationImages(crops, images.labels_N)


def first_images(images: ImageSet, preprocessing: Preprocessing, number: int) -> Tensor:
    """(N, 3, H, W) at most ``number`` images, as a network is shown them to embed."""
    crop = EvaluationCrop(preprocessing)
    crops = [np.array(crop(images.image(i))) for i in range(min(number, len(images)))]
    normalised = Normalisation(preprocessing, torch.device("cpu"))
    return normalised(torch.from_numpy(np.stack(crops)))


@torch.no_grad()
def _embed(
    network: nn.Module,
    images: EvaluationImages,
    normalised: Normalisation,
    loader: ImageLoader,
    on_batch: Callable[[], None],
) -> Tensor:
    network.eval()
    embeddings = []
    for images_NHW3 in loader.batches(images, images.batches(BATCH_SIZE)):
        on_batch()
        embeddings.append(network(normalised(images_NHW3)).float())
    return torch.cat(embeddings)
