"""Time of an evaluation: embeddings, recall, clusters."""

# N = images, C = classes, D = embedding size

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu_sections.session import EMBEDDING_SIZE, Row, Session
from histsearch.retrieval.k_means import k_means
from histsearch.retrieval.known_metrics import USUAL_OBJECTIVE
from histsearch.retrieval.measurement import measure
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.trainer import Trainer

_NOISE = 2.0
_EMBEDDING_SECONDS = 15.0
_RANKING_SECONDS = 5.0
_CLUSTERING_SECONDS = 20.0


def rows(session: Session) -> Iterator[Row]:
    """A line for each part of an evaluation; the second of two runs is timed."""
    if session.has_time_for(_EMBEDDING_SECONDS):
        yield from _embedding(session)
    for images, classes in session.scale.embeddings:
        embeddings_ND, labels_N = _embeddings(images, classes, session.device)
        objective = USUAL_OBJECTIVE

        def rank() -> None:
            measure([objective], embeddings_ND, labels_N)  # noqa: B023 - called at once

        def cluster() -> None:
            k_means(F.normalize(embeddings_ND), classes, seed=0)  # noqa: B023

        if session.has_time_for(_RANKING_SECONDS):
            rank()
            yield _row(objective.label, images, classes, session.seconds(rank))
        if session.has_time_for(_CLUSTERING_SECONDS):
            yield _row("k-means of NMI", images, classes, session.seconds(cluster))


def _embedding(session: Session) -> Iterator[Row]:
    """Embeddings and R@1 of images from loader processes, and of those on the device."""
    train, shown = session.images(cached=True)
    for choice, name in ((DataOnGpu.never, "loaded"), (DataOnGpu.always, "on the device")):
        trainer = Trainer(
            session.settings(),
            train,
            device=session.device,
            loader_processes=session.scale.loaders[-1],
            on_device=ImagesOnDevice(session.device, choice),
        )
        next(trainer.epochs(shown))

        def evaluate() -> None:
            trainer.measure([USUAL_OBJECTIVE], shown)  # noqa: B023 - called at once

        seconds = session.seconds(evaluate)
        yield _row(f"embeddings and R@1, images {name}", len(shown), shown.num_classes, seconds)


def _row(part: str, images: int, classes: int, seconds: float) -> Row:
    return {"part": part, "images": images, "classes": classes, "s": round(seconds, 3)}


def _embeddings(images: int, classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(images) % classes
    centres_CD = torch.randn(classes, EMBEDDING_SIZE, generator=generator)
    noise_ND = torch.randn(images, EMBEDDING_SIZE, generator=generator)
    return (centres_CD[labels_N] + _NOISE * noise_ND).to(device), labels_N.to(device)
