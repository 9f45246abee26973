"""What the data folder of the machine where a study is created holds of what the study needs."""

from pathlib import Path
from typing import NamedTuple

from histsearch.data.census import Census
from histsearch.data.dataset import load_dataset
from histsearch.exceptions import DataError
from histsearch.models.initial_weights import PRETRAINED_WEIGHTS, RANDOM_WEIGHTS, locate_weights
from histsearch.studies.definition import StudyDefinition
from histsearch.studies.images import count_images


class DataHere(NamedTuple):
    """What a data folder holds for a study.

    Attributes:
        census: The images of the study; None where they can't be seen or used.
        lacks: What isn't there or can't be used, a sentence each.
    """

    census: Census | None
    lacks: tuple[str, ...]


def look_for_data(definition: StudyDefinition, data_dir: Path) -> DataHere | None:
    """Look for a study's data set and weights; no image is decoded.

    Returns:
        What was found; None where there is no such folder, or it can't be reached.
    """
    try:
        return _look(definition, data_dir) if data_dir.is_dir() else None
    except OSError:
        return None


def _look(definition: StudyDefinition, data_dir: Path) -> DataHere:
    lacks = _lacking_weights(definition.space.weights, data_dir)
    try:
        dataset = load_dataset(definition.space.dataset, data_dir)
        return DataHere(count_images(dataset, definition), lacks)
    except DataError as error:
        return DataHere(None, (*lacks, str(error)))


def _lacking_weights(weights: str, data_dir: Path) -> tuple[str, ...]:
    if weights in (PRETRAINED_WEIGHTS, RANDOM_WEIGHTS):
        return ()
    path = locate_weights(weights, data_dir)
    return () if Path(path).is_file() else (f"There is no weights file {path}.",)
