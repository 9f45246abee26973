"""Retrieval quality of a network on images it was not trained on."""

# N = queries, M = gallery images, D = embedding size, K = nearest images
# H, W = image height and width

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from histsearch.data.dataset_record import DatasetRecord
from histsearch.data.image_set import ImageSet
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.transforms import EvaluationCrop, Normalisation
from histsearch.retrieval.known_metrics import MAP_AT_R, R_PRECISION, Metric, recall_at
from histsearch.retrieval.measurement import Retrieval, retrieve
from histsearch.retrieval.nmi import normalized_mutual_information
from histsearch.training.progress_display import Phase

NMI = "NMI"
"""Label of normalised mutual information."""

_NMI_SEED = 0


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

    def retrieve(
        self,
        metrics: Iterable[Metric],
        nearest: int = 0,
        on_chunk: Callable[[], object] = _do_nothing,
    ) -> Retrieval:
        """Metrics, and so many of the nearest images; arguments as of `retrieval.retrieve`."""
        return retrieve(
            metrics,
            self.query_ND,
            self.query_labels_N,
            gallery_MD=self.gallery_MD,
            gallery_labels_M=self.gallery_labels_M,
            nearest=nearest,
            on_chunk=on_chunk,
        )

    def nmi(self, repeats: int, seed: int, on_step: Callable[[], object] = _do_nothing) -> float:
        """NMI of k-means clusterings of all images, queries and gallery, in [0, 1]."""
        if self.gallery_MD is None or self.gallery_labels_M is None:
            embeddings_ND, labels_N = self.query_ND, self.query_labels_N
        else:
            embeddings_ND = torch.cat([self.query_ND, self.gallery_MD])
            labels_N = torch.cat([self.query_labels_N, self.gallery_labels_M])
        return normalized_mutual_information(embeddings_ND, labels_N, repeats, seed, on_step)


@dataclass(frozen=True)
class Figures:
    """What a network shows on the test classes of a data set, as fractions in [0, 1].

    Attributes:
        measured: The value of each metric by its name.
        recall: R@K by K, for each K that papers report for the data set.
        others: NMI, R-Precision and MAP@R by their labels.
        nearest_NK: (N, K) places in the gallery, or among the queries, of the images nearest to
            each query, as `Ranking.nearest` has them.
    """

    measured: dict[str, float]
    recall: dict[int, float]
    others: dict[str, float]
    nearest_NK: Tensor


def take_figures(
    embedded: EmbeddedImages,
    record: DatasetRecord,
    *,
    objective: Metric | None = None,
    nearest: int = 0,
    on_step: Callable[[], object] = _do_nothing,
    on_phase: Callable[[Phase], object] = lambda _: None,
) -> Figures:
    """The figures of a network on the test classes, the same wherever it is evaluated.

    Args:
        embedded: The test images, embedded.
        record: Their data set's.
        objective: A metric that is measured as well.
        nearest: How many of each query's nearest images to find, K.
        on_step: Called after each step of the work; what it raises ends the work.
        on_phase: Called with the clustering as it begins.
    """
    recalls = {k: recall_at(k) for k in record.recall_ks}
    metrics = [*recalls.values(), R_PRECISION, MAP_AT_R]
    if objective is not None:
        metrics.append(objective)
    found = embedded.retrieve(metrics, nearest, on_step)
    on_phase(Phase("clustering the test images"))
    nmi = embedded.nmi(record.nmi_repeats, _NMI_SEED, on_step)
    others = {metric.label: found.values[metric.name] for metric in (R_PRECISION, MAP_AT_R)}
    return Figures(
        measured=found.values,
        recall={k: found.values[metric.name] for k, metric in recalls.items()},
        others={NMI: nmi, **others},
        nearest_NK=found.nearest_NK,
    )


def embed_images(
    network: nn.Module,
    queries: ImageSet,
    gallery: ImageSet | None,
    preprocessing: Preprocessing,
    *,
    device: torch.device,
    batches: Callable[[ImageSet], Iterable[Tensor]],
    on_batch: Callable[[], None] = _do_nothing,
) -> EmbeddedImages:
    """Embed queries, and their gallery where there is one, in float32.

    The network is left in evaluation mode; the embeddings stay on ``device``.

    Args:
        network: The network.
        queries: The queries.
        gallery: Their gallery; None without one.
        preprocessing: The network's input.
        device: Where the network is.
        batches: Gives the (N, H, W, 3) uint8 batches of images.
        on_batch: Called before each batch; what it raises ends the work.
    """
    normalised = Normalisation(preprocessing, device)

    def embed(images: ImageSet) -> tuple[Tensor, Tensor]:
        embeddings_ND = _embed(network, batches(images), normalised, on_batch)
        return embeddings_ND, torch.as_tensor(images.labels_N, device=device)

    if gallery is None:
        return EmbeddedImages(*embed(queries))
    return EmbeddedImages(*embed(queries), *embed(gallery))


def first_images(images: ImageSet, preprocessing: Preprocessing, number: int) -> Tensor:
    """(N, 3, H, W) at most ``number`` images, as a network is shown them to embed."""
    crop = EvaluationCrop(preprocessing)
    crops = [np.array(crop(images.image(i))) for i in range(min(number, len(images)))]
    normalised = Normalisation(preprocessing, torch.device("cpu"))
    return normalised(torch.from_numpy(np.stack(crops)))


@torch.no_grad()
def _embed(
    network: nn.Module,
    batches: Iterable[Tensor],
    normalised: Normalisation,
    on_batch: Callable[[], None],
) -> Tensor:
    network.eval()
    embeddings = []
    for images_NHW3 in batches:
        on_batch()
        embeddings.append(network(normalised(images_NHW3)).float())
    return torch.cat(embeddings)
