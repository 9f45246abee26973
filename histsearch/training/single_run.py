"""One configuration of a space, trained outside any study."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from histsearch.data.census import take_census
from histsearch.data.image_cache import ImageCache
from histsearch.exceptions import SpaceError
from histsearch.losses.known_losses import LOSSES
from histsearch.losses.loss_record import LossRecord
from histsearch.models.checkpoint import save_checkpoint
from histsearch.space.checks import check_values
from histsearch.space.configuration import Value
from histsearch.space.contradictions import reason_of_clash
from histsearch.space.known_parameters import known_parameters
from histsearch.space.loss_trial import check_trainable
from histsearch.space.rankable_images import check_objective
from histsearch.space.space import Space
from histsearch.training.arithmetic import check_precision
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.progress_display import NoDisplay, ProgressDisplay
from histsearch.training.run_inputs import (
    building_phase,
    find_run_parts,
    load_images,
    run_settings,
    split_images,
)
from histsearch.training.trainer import Epoch, Trainer

log = logging.getLogger(__name__)


def configuration(
    space: Space, values: Mapping[str, Value], loss: LossRecord[Any, Any]
) -> dict[str, Value]:
    """A complete configuration: ``values`` over the first that the space enqueues.

    Unlike a study's, ``values`` may name any parameter, and leave its list or range. What is
    named nowhere keeps its default.

    Raises:
        SpaceError: There is no such parameter, it can't take the value, or the loss can't be
            trained with it.
    """
    known = known_parameters(loss.parameters)
    check_values("KEY=VALUE", values, known)
    merged = {**(space.enqueue[0] if space.enqueue else {}), **values}
    try:
        completed = known.complete({**space.fixed, **merged})
    except ValidationError as error:
        raise SpaceError(reason_of_clash(error)) from None
    if space.loss.name not in LOSSES:
        check_trainable(loss, completed)
    return merged


class SingleRun:
    """A training run with the images and the protocol of a space.

    Args:
        space: Its data set, backbone, fixed values and protocol are used.
        values: Values over those of the space, as `configuration` takes them.
        data_dir: Folder of the data sets.
        device: "cpu" or "cuda".
        threads: CPU threads of torch.
        loader_processes: Processes that decode images.
        image_cache: Where decoded images are kept; None for nowhere.
        data_on_gpu: Whether they lie on the device as well.
        display: Shows what is being done.
        seed: Seed of everything random.

    Raises:
        HistsearchError: Values, images or weights can't be used.
    """

    def __init__(
        self,
        space: Space,
        values: Mapping[str, Value],
        *,
        data_dir: Path,
        device: str,
        threads: int,
        loader_processes: int,
        seed: int,
        image_cache: ImageCache | None = None,
        data_on_gpu: DataOnGpu = DataOnGpu.never,
        display: ProgressDisplay | None = None,
    ) -> None:
        display = display or NoDisplay()
        torch.set_num_threads(threads)
        self._space = space
        check_precision(space.precision, torch.device(device))
        parts = find_run_parts(space, data_dir)
        chosen = configuration(space, values, parts.loss)
        settings = run_settings(space, chosen, parts, seed=seed)
        dataset = load_images(
            space, data_dir, loader_processes, image_cache, display.step, display.begin
        )
        train, self._validation, self._gallery = split_images(dataset, space.protocol)
        census = take_census(dataset, space.protocol.hold_out)
        check_objective(space.protocol.metric, census.judge)
        for warning in census.warnings():
            log.warning("%s", warning)
        display.begin(building_phase(settings))
        self.trainer = Trainer(
            settings,
            train,
            device=torch.device(device),
            loader_processes=loader_processes,
            on_device=ImagesOnDevice(torch.device(device), data_on_gpu),
            on_progress=display.step,
            on_phase=display.begin,
        )

    def epochs(self) -> Iterator[Epoch]:
        """Train, yielding each epoch with its score on the validation images."""
        return self.trainer.epochs(self._validation, self._gallery)

    def save(self, file: Path) -> None:
        """Save the trained model.

        Raises:
            WeightsError: It can't be written there.
        """
        settings = self.trainer.settings
        save_checkpoint(
            file,
            self.trainer.network,
            backbone=settings.backbone,
            preprocessing=self.trainer.preprocessing,
            embedding_size=settings.configuration.training.embedding_size,
            loss_state=self.trainer.loss.state_dict(),
            extra={
                "dataset": self._space.dataset,
                "epochs": settings.epochs,
                "seed": settings.seed,
                "loss": str(self._space.loss),
                "precision": settings.precision,
                "determinism": settings.determinism,
                "hyperparameters": settings.hyperparameters,
            },
        )
