"""What a run needs before its first batch: the split of its images, weights, settings."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from histsearch.data.dataset import Dataset, load_dataset
from histsearch.data.image_cache import ImageCache
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_set import ImageSet
from histsearch.data.readable_images import without_unreadable
from histsearch.exceptions import SpaceError
from histsearch.losses.known_losses import find_loss
from histsearch.losses.loss_record import LossRecord
from histsearch.models.backbone import Backbone
from histsearch.models.initial_weights import RANDOM_WEIGHTS, check_weights, locate_weights
from histsearch.models.known_backbones import find_backbone
from histsearch.space.checks import value_fault
from histsearch.space.configuration import Value
from histsearch.space.image_sizes import image_size_fault, image_size_faults
from histsearch.space.known_parameters import known_parameters
from histsearch.space.parameters import tried_values
from histsearch.space.refusals import joined, refused
from histsearch.space.space import Protocol
from histsearch.space.trained_space import TrainedSpace
from histsearch.training.progress_display import Phase
from histsearch.training.trainer import RunSettings

log = logging.getLogger(__name__)


class RunParts(NamedTuple):
    """What the network and the loss of a space's runs are made of.

    Attributes:
        backbone: The network's backbone.
        weights: Its weights before the first batch, a file's path completed.
        loss: The loss.
    """

    backbone: Backbone
    weights: str
    loss: LossRecord[Any, Any]


class RunInputs(NamedTuple):
    """What all runs of a space have in common on one machine."""

    dataset: Dataset
    parts: RunParts


def find_run_parts(space: TrainedSpace, data_dir: Path) -> RunParts:
    """Find the backbone, the weights and the loss of a space on this machine.

    Raises:
        SpaceError: A package that the backbone or the loss comes from is missing, or hasn't them
            with the space's parameters, or the backbone can't take images of a size that it names.
        WeightsError: The weights can't be loaded.
    """
    backbone = find_backbone(space.backbone)
    faults = joined(image_size_faults(space.search, space.fixed, backbone))
    if faults.lines:
        raise SpaceError(*faults.lines)
    weights = locate_weights(space.weights, data_dir)
    check_weights(backbone, weights)
    loss = find_loss(space.loss.name, space.loss.miner)
    _check_parameters(space, loss)
    return RunParts(backbone, weights, loss)


def _check_parameters(space: TrainedSpace, loss: LossRecord[Any, Any]) -> None:
    """Check that the loss of this machine takes the values of a space made on another."""
    known = known_parameters(loss.parameters)
    given = [("fixed", name, value) for name, value in space.fixed.items()]
    given += [
        ("search", name, value)
        for name, parameter in space.search.items()
        for value in tried_values(parameter)
    ]
    faults = [fault for one in given if (fault := value_fault(*one, known)) is not None]
    faults += [
        refused(f"fixed.{name}", "nothing", known.allowed_values(name))
        for name in known.required
        if name not in space.fixed and name not in space.search
    ]
    if faults:
        first = faults[0].lines[0]
        raise SpaceError(
            f'found the loss "{loss.name}", which doesn\'t take the values of the study here '
            f"({first}); install the version of its package that the study was created with"
        )


def _do_nothing() -> None:
    return None


def load_images(
    space: TrainedSpace,
    data_dir: Path,
    loader_processes: int,
    cache: ImageCache | None = None,
    on_image: Callable[[], object] = _do_nothing,
    on_phase: Callable[[Phase], object] = lambda _: None,
) -> Dataset:
    """The data set of a space, without the images that can't be read where it says so.

    The log says what is to be known of how it was read, such as which files were skipped.

    Args:
        space: The space.
        data_dir: Folder of the data sets.
        loader_processes: Processes that decode, where images are to be kept or left out.
        cache: Where decoded images are kept; those of the training half are at once. None for
            nowhere.
        on_image: Called after each image that was decoded.
        on_phase: Called with each part of the work as it begins.

    Raises:
        DataError: It is missing or of another layout, or too little of it can be read.
    """
    on_phase(Phase(f"reading {space.dataset}", is_told=True))
    dataset = load_dataset(space.dataset, data_dir)
    for remark in dataset.remarks:
        log.warning("%s: %s", space.dataset, remark)
    if space.on_bad_image == "skip":
        _tell_images(on_phase, "checking", *dataset.parts().values())
        dataset = without_unreadable(dataset, loader_processes, on_image)
    if cache is not None:
        dataset = dataset.with_cache(cache.of(space.dataset, data_dir))
        _tell_images(on_phase, "keeping decoded", dataset.train)
        dataset.train.formed(WholeImages(space.image_size_cap), loader_processes, on_image)
    return dataset


def _tell_images(on_phase: Callable[[Phase], object], doing: str, *sets: ImageSet) -> None:
    """Tell of a phase that has a step for each image file, if there is any."""
    files = {path for images in sets for path in images.paths}
    if files:
        on_phase(Phase(f"{doing} images", steps=len(files)))


def split_images(
    dataset: Dataset, protocol: Protocol, fold: int = 0
) -> tuple[ImageSet, ImageSet, ImageSet | None]:
    """The training images of a search, its validation images, and their gallery if they have one.

    Args:
        dataset: The data set.
        protocol: How the search divides it.
        fold: The fold that validates, from 0 on.

    Raises:
        DataError: There are too few training classes to hold any out, or no validation image has
            another of its class to find.
    """
    hold_out = protocol.hold_out
    if hold_out is None:
        return dataset.train, dataset.test, dataset.gallery
    train, validation = hold_out.split(dataset.train, fold)
    return train, validation, None


def run_settings(
    space: TrainedSpace,
    configuration: Mapping[str, Value],
    parts: RunParts,
    *,
    seed: int,
    epochs: int | None = None,
) -> RunSettings:
    """The settings of one run: a configuration of a space, for its full length if not told.

    Raises:
        SpaceError: The backbone can't take images of that size.
    """
    known = known_parameters(parts.loss.parameters)
    completed = known.complete({**space.fixed, **configuration})
    fault = image_size_fault(completed.training.image_size, parts.backbone)
    if fault is not None:
        raise SpaceError(*fault.lines)
    return RunSettings(
        backbone=parts.backbone,
        weights=parts.weights,
        loss=parts.loss,
        objective=space.protocol.metric,
        epochs=epochs or space.epochs,
        configuration=completed,
        seed=seed,
        precision=space.precision,
        determinism=space.determinism,
        image_size_cap=space.image_size_cap,
    )


def building_phase(settings: RunSettings) -> Phase:
    """The building of a run's network."""
    weights = "" if settings.weights == RANDOM_WEIGHTS else ", loading its weights"
    return Phase(f"building the network{weights}", is_told=True)
