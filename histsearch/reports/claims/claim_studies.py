"""The studies of a folder of claims: found by their spaces' names, or created."""

from typing import NamedTuple

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.reports.claims.folder import ClaimsFolder
from histsearch.space.space import Space
from histsearch.studies.catalog import create_search, find_study, plan_search
from histsearch.studies.study import Study


class ClaimStudy(NamedTuple):
    """A study of a folder of claims.

    Attributes:
        study: It.
        is_new: Whether it was created just now.
    """

    study: Study
    is_new: bool


def study_of(storage: Storage, space: Space) -> Study | None:
    """The study of a space, by the space's name; None where there is none.

    Raises:
        StudyError: A study of that name is of another space, or can't be read.
    """
    names = {one.study_name for one in storage.optuna.get_all_studies()}
    if space.name not in names:
        return None
    study = find_study(storage, space.name)
    if study.definition.source is not None or study.definition.space != space:
        raise StudyError(
            f'found the study "{space.name}", which isn\'t of the space of that name as it is now; '
            f"delete it with histsearch study delete {space.name}, or use the spaces that it was "
            "created from"
        )
    return study


def create_missing(storage: Storage, folder: ClaimsFolder) -> list[ClaimStudy]:
    """Create the studies of a folder's spaces that aren't there; the others are kept.

    Raises:
        StudyError: Studies of other spaces have their names, belong to another version, or can't
            be created: a line for each, before any is created.
    """
    found: dict[str, Study] = {}
    faults: list[str] = []
    for space in folder.spaces.values():
        try:
            study = study_of(storage, space)
            if study is None:
                plan_search(space)
                continue
            study.definition.check_version(study.name)
            found[space.name] = study
        except StudyError as error:
            faults += error.lines
    if faults:
        raise StudyError(*faults)
    return [
        ClaimStudy(found[space.name], is_new=False)
        if space.name in found
        else ClaimStudy(create_search(storage, space), is_new=True)
        for space in folder.spaces.values()
    ]
