"""One configuration of a space, trained outside any study."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from pydantic import ValidationError

from histsearch.data.census import take_census
from histsearch.exceptions import SpaceError
from histsearch.space.checks import check_values
from histsearch.space.configuration import Value
from histsearch.space.space import Space
from histsearch.training.run_inputs import (
    check_objective,
    find_run_parts,
    load_images,
    run_settings,
    split_images,
)
from histsearch.training.trainer import Epoch, Trainer

log = logging.getLogger(__name__)


def configuration(space: Space, values: Mapping[str, Value]) -> dict[str, Value]:
    """A complete configuration: ``values`` over the first that the space enqueues.

    Unlike a study's, ``values`` may name any parameter, and leave its list or range. What is
    named nowhere keeps its default.

    Raises:
        SpaceError: There is no such parameter, or it can't take the value.
    """
    check_values("KEY=VALUE", values, space.parameters)
    merged = {**(space.enqueue[0] if space.enqueue else {}), **values}
    try:
        space.complete(merged)
    except ValidationError as error:
        raise SpaceError(str(error.errors()[0]["ctx"]["error"])) from None
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
    ) -> None:
        torch.set_num_threads(threads)
        chosen = configuration(space, values)
        parts = find_run_parts(space, data_dir)
        settings = run_settings(space, chosen, parts, seed=seed)
        dataset = load_images(space, data_dir, loader_processes)
        train, self._validation, self._gallery = split_images(dataset, space.protocol)
        census = take_census(dataset, space.protocol.hold_out)
        check_objective(space.protocol.metric, census.judge)
        for warning in census.warnings():
            log.warning("%s", warning)
        self.trainer = Trainer(
            settings, train, device=torch.device(device), loader_processes=loader_processes
        )

    def epochs(self) -> Iterator[Epoch]:
        """Train, yielding each epoch with its score on the validation images."""
        return self.trainer.epochs(self._validation, self._gallery)
