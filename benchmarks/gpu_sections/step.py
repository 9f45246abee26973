"""Time of a training step: precision, layout of memory, algorithms, with and without waiting."""

# N = batch size, S = side of an image, 3 = red, green, blue

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Protocol

import torch
from torch.optim import Adam

from benchmarks.gpu_sections.session import EMBEDDING_SIZE, Row, Session
from histsearch.models.known_backbones import find_backbone
from histsearch.models.network import build_network
from histsearch.models.transforms import Normalisation
from histsearch.space.space import Determinism, Precision
from histsearch.training.arithmetic import autocast, choose_algorithms

_CLASSES = 98
_WARM_UP = 3
_SECONDS = 6.0  # of one line, building the network included

_PRECISIONS: tuple[tuple[str, Precision, bool], ...] = (
    ("fp32", "fp32", False),
    ("TF32", "fp32", True),
    ("bf16", "bf16", True),
)
_LAYOUTS = (("NCHW", torch.contiguous_format), ("NHWC", torch.channels_last))
_ALGORITHMS: tuple[Determinism, ...] = ("exact", "fast")


def rows(session: Session) -> Iterator[Row]:
    """A line each: milliseconds of a step that waits for nothing, and of one that does."""
    choices = product(reversed(session.scale.batches), _PRECISIONS, _LAYOUTS, _ALGORITHMS)
    for batch, (name, precision, tf32), (layout, memory_format), algorithms in choices:
        if not session.has_time_for(_SECONDS):
            continue
        choose_algorithms(algorithms)
        torch.backends.cudnn.allow_tf32 = tf32
        step = _step(session, batch, precision, memory_format)
        step(waits=False, times=_WARM_UP)
        free, waiting = (
            session.seconds(partial(step, waits=waits, times=session.scale.steps))
            / session.scale.steps
            for waits in (False, True)
        )
        yield {
            "batch": batch,
            "precision": name,
            "layout": layout,
            "algorithms": algorithms,
            "ms a step": round(1000 * free, 2),
            "ms with synchronisations": round(1000 * waiting, 2),
            "images/s": round(batch / free),
        }
    choose_algorithms("exact")
    torch.backends.cudnn.allow_tf32 = True


class _Step(Protocol):
    def __call__(self, *, waits: bool, times: int) -> None: ...


def _step(
    session: Session, batch: int, precision: Precision, memory_format: torch.memory_format
) -> _Step:
    """Training steps, which wait for the device where the reference's do if told so."""
    device, settings = session.device, session.settings()
    backbone = find_backbone(session.scale.backbone)
    network = build_network(backbone, EMBEDDING_SIZE, weights="none").to(device)
    network.to(memory_format=memory_format)
    network.train()
    loss = settings.loss.build(
        settings.loss.parameters(**settings.configuration.loss), _CLASSES, EMBEDDING_SIZE
    ).to(device)
    weights = [*network.parameters(), *loss.parameters()]
    optimizer = Adam(weights, lr=1e-5, fused=device.type == "cuda")
    side = backbone.preprocessing.crop
    images_NSS3 = torch.randint(256, (batch, side, side, 3), dtype=torch.uint8, device=device)
    labels_N = torch.arange(batch) % (batch // 2)
    normalised = Normalisation(backbone.preprocessing, device)
    losses: list[float] = []

    def once(*, waits: bool) -> None:
        with autocast(precision, device):
            embeddings_ND = network(normalised(images_NSS3))
        value = loss(embeddings_ND.float(), labels_N.to(device) if waits else labels_N)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        if waits:
            losses.append(value.item())

    def steps(*, waits: bool, times: int) -> None:
        for _ in range(times):
            once(waits=waits)

    return steps
