"""A whole trial, beside the way of the reference code.

That is a plain loop: a DataLoader whose processes decode and crop with Pillow, float32 in the
usual layout, a loss that is read after every step, torch.save after every epoch.
"""

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.gpu_sections.session import EMBEDDING_SIZE, Row, Session
from benchmarks.throughput.images import earlier_crops
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_set import ImageSet
from histsearch.models.network import build_network
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.transforms import EvaluationCrop
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.run_states import RunStates
from histsearch.training.state_writer import StateWriter
from histsearch.training.trainer import RunSettings, Trainer

_SECONDS = 35.0


def rows(session: Session) -> Iterator[Row]:
    """A line a way: ours with images on the device and with loader processes, the reference's."""
    _decode(session)  # first, so that no line pays for it
    ways: dict[str, Callable[[], Iterator[float]]] = {
        "histsearch, images on the device": lambda: _ours(session, DataOnGpu.always),
        "histsearch, loader processes": lambda: _ours(session, DataOnGpu.never),
        "the reference's way": lambda: _reference(session),
    }
    for name, run in ways.items():
        if session.has_time_for(_SECONDS):
            yield {"way": name, **_timed(run())}


def _decode(session: Session) -> None:
    """Make the photographs, and keep them decoded as a trial asks for them."""
    train, validation = session.images(cached=True)
    processes = session.scale.loaders[-1]
    train.formed(WholeImages(), processes)
    validation.formed(EvaluationCrop(session.settings().preprocessing), processes)


def _timed(epochs: Iterator[float]) -> Row:
    """Seconds of the first epoch, of the last one, and of the trial until its states are saved."""
    gc.collect()  # the end of an earlier way's loader processes isn't this one's
    started = time.perf_counter()
    seconds = list(epochs)
    whole = time.perf_counter() - started
    return {
        "epochs": len(seconds),
        "first epoch, s": round(seconds[0], 2),
        "last epoch, s": round(seconds[-1], 2),
        "whole trial, s": round(whole, 2),
    }


def _ours(session: Session, choice: DataOnGpu) -> Iterator[float]:
    """Seconds of each epoch, evaluated and saved."""
    train, validation = session.images(cached=True)
    trainer = Trainer(
        session.settings(session.scale.epochs),
        train,
        device=session.device,
        loader_processes=session.scale.loaders[-1],
        on_device=ImagesOnDevice(session.device, choice),
    )
    store = open_checkpoint_store(str(session.folder / "trial"))
    writer = StateWriter(RunStates(store, choice, 1, choice))
    started = time.perf_counter()
    for _ in trainer.epochs(validation):
        writer.save(trainer.state_dict())
        yield time.perf_counter() - started
        started = time.perf_counter()
    writer.settle()
    writer.close()


class _Photographs(Dataset[tuple[Tensor, int]]):
    def __init__(self, images: ImageSet, preprocessing: Preprocessing, *, train: bool) -> None:
        self._images = images
        tensors = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
        self._transform = v2.Compose(
            [
                *earlier_crops(preprocessing, train=train),
                *tensors,
                v2.Normalize(preprocessing.mean, preprocessing.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self._images.paths[index]) as opened:
            image = opened.convert("RGB")
        return self._transform(image), int(self._images.labels_N[index])


def _reference(session: Session) -> Iterator[float]:
    """Seconds of each epoch, evaluated and saved."""
    settings, device = session.settings(session.scale.epochs), session.device
    parts = session.images(cached=False)
    train, validation = (
        DataLoader(
            _Photographs(one, settings.preprocessing, train=training),
            batch_size=session.scale.batches[-1],
            shuffle=training,
            drop_last=training,
            num_workers=session.scale.loaders[-1],
            pin_memory=device.type == "cuda",
        )
        for one, training in zip(parts, (True, False), strict=True)
    )
    modules = _modules(settings, parts[0].num_classes, device)
    optimizer = Adam([weight for module in modules for weight in module.parameters()], lr=1e-5)
    file = session.folder / "reference.pt"
    for _ in range(settings.epochs):
        started = time.perf_counter()
        _train_plainly(train, *modules, optimizer, device)
        _recall_plainly(validation, modules[0], device)
        _save_plainly([*modules, optimizer], file)
        yield time.perf_counter() - started


def _modules(
    settings: RunSettings, classes: int, device: torch.device
) -> tuple[torch.nn.Module, torch.nn.Module]:
    network = build_network(settings.backbone, EMBEDDING_SIZE, weights="none")
    own = settings.loss.parameters(**settings.configuration.loss)
    loss = settings.loss.build(own, classes, EMBEDDING_SIZE)
    return network.to(device), loss.to(device)


def _train_plainly(
    batches: "DataLoader[tuple[Tensor, int]]",
    network: torch.nn.Module,
    loss: torch.nn.Module,
    optimizer: Adam,
    device: torch.device,
) -> None:
    network.train()
    losses = []
    for images_N3SS, labels_N in batches:
        value = loss(network(images_N3SS.to(device)), labels_N.to(device))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())


@torch.no_grad()
def _recall_plainly(
    batches: "DataLoader[tuple[Tensor, int]]", network: torch.nn.Module, device: torch.device
) -> float:
    network.eval()
    embedded = [(network(images.to(device)), labels) for images, labels in batches]
    embeddings_ND = F.normalize(torch.cat([one for one, _ in embedded]))
    labels_N = torch.cat([labels for _, labels in embedded])
    similar_NN = embeddings_ND @ embeddings_ND.T
    nearest_N = similar_NN.fill_diagonal_(-1).argmax(1).cpu()
    return (labels_N[nearest_N] == labels_N).float().mean().item()


def _save_plainly(parts: "list[torch.nn.Module | Adam]", file: Path) -> None:
    torch.save([one.state_dict() for one in parts], file)
