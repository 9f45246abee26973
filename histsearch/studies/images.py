"""What a study knows of its images: how many each part has, as its first worker found them."""

from collections.abc import Mapping
from typing import Any

from histsearch.data.census import Census, take_census
from histsearch.data.dataset import Dataset
from histsearch.space.rankable_images import check_objective
from histsearch.studies.definition import StudyDefinition
from histsearch.studies.study import Study

CENSUS = "histsearch.census"


def count_images(dataset: Dataset, definition: StudyDefinition) -> Census:
    """Count a data set as a study divides it; a retraining holds nothing out.

    Raises:
        DataError: It can't be divided so, or no image to validate or to test by has another of its
            class to find, or the objective asks for more images to rank.
    """
    census = take_census(dataset, definition.hold_out)
    for judge in (census.judge, census.test):  # a retraining is tested by the objective too
        check_objective(definition.space.protocol.metric, judge)
    return census


def note_census(study: Study, census: Census) -> None:
    """Keep with a study what its images are; they are the same for all its workers."""
    study.storage.optuna.note_study_attr(study.id, CENSUS, census.to_json())


def known_census(study: Study) -> Census | None:
    """What its images are; None until a worker has read them."""
    kept: Mapping[str, Any] | None = study.optuna_study.user_attrs.get(CENSUS)
    return None if kept is None else Census.from_json(kept)


def image_warnings(study: Study, census: Census) -> list[str]:
    """What a score on a study's images can't tell, its rule for the winner included."""
    decided = study.limits.decided
    return census.warnings(None if decided is None else decided.delta)
