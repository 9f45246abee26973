"""Images a second that reach the network: from image files, decoded images, and the device."""

from collections.abc import Callable, Iterator

from benchmarks.gpu_sections.session import Row, Session
from histsearch.data.batches import EpochBatches, TrainingImages
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_loader import ImageLoader
from histsearch.data.image_set import ImageSet
from histsearch.models.transforms import Normalisation, TrainingCrop
from histsearch.training.batch_source import (
    BatchSource,
    DeviceBatches,
    EvaluationLoader,
    LoadedBatches,
)
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice

_SEED = 0
_SECONDS = 15.0


def rows(session: Session) -> Iterator[Row]:
    """A line for each place that images come from, and number of loader processes."""
    session.images(cached=False)  # made first, so that no line pays for it
    for cached, name in ((False, "image files"), (True, "decoded images")):
        images = session.images(cached=cached)
        for processes in session.scale.loaders:
            if session.has_time_for(_SECONDS):
                source = _loaded(session, images[0], processes)
                yield _row(session, name, processes, source, images)
    images = session.images(cached=True)
    if session.has_time_for(_SECONDS):
        yield _row(session, "the device", 0, _on_device(session, images), images)


def _training(session: Session, images: ImageSet) -> TrainingImages:
    preprocessing = session.settings().preprocessing
    whole = images.formed(WholeImages())
    return TrainingImages(whole, images.labels_N, TrainingCrop(preprocessing), _SEED)


def _loaded(session: Session, images: ImageSet, processes: int) -> BatchSource:
    loader = ImageLoader(processes, pin_memory=session.device.type == "cuda")
    evaluation = EvaluationLoader(session.settings().preprocessing, loader)
    return LoadedBatches(_training(session, images), loader, evaluation)


def _on_device(session: Session, images: tuple[ImageSet, ImageSet]) -> BatchSource:
    preprocessing = session.settings().preprocessing
    training = _training(session, images[0])
    evaluation = EvaluationLoader(preprocessing, ImageLoader(0, pin_memory=False))
    store = ImagesOnDevice(session.device, DataOnGpu.always)
    whole, shown = store.place([training.images, evaluation.add(images[1])], 0, lambda: None)
    return DeviceBatches(training, preprocessing, whole, {images[1]: shown}, evaluation)


def _row(
    session: Session,
    name: str,
    processes: int,
    source: BatchSource,
    images: tuple[ImageSet, ImageSet],
) -> Row:
    train, shown = images
    keys = EpochBatches(train.labels_N, session.scale.batches[-1], seed=_SEED)
    normalised = Normalisation(session.settings().preprocessing, session.device)

    def train_once() -> None:
        for images_NSS3, flipped_N, _ in source.training(keys):
            normalised(images_NSS3, flipped_N)

    def show_once() -> None:
        for images_NSS3 in source.evaluation(shown):
            normalised(images_NSS3)

    of_an_epoch = len(keys) * session.scale.batches[-1]
    return {
        "from": name,
        "loader processes": processes,
        "training images/s": _rate(session, train_once, of_an_epoch),
        "evaluation images/s": _rate(session, show_once, len(shown)),
    }


def _rate(session: Session, once: Callable[[], None], images: int) -> int:
    once()  # starts processes, decodes what is kept
    return round(images / session.seconds(once, session.scale.pipeline_seconds))
