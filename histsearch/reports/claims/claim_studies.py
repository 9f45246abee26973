"""The study of a claim's space, found by the space's name."""

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.space.space import Space
from histsearch.studies.catalog import find_study, is_taken
from histsearch.studies.study import Study


def study_of(storage: Storage, space: Space) -> Study | None:
    """The study of a space, by the space's name; None where there is none.

    Raises:
        StudyError: A study of that name is of another space, or can't be read.
    """
    if not is_taken(storage, space.name):
        return None
    study = find_study(storage, space.name)
    if study.definition.source is not None or study.definition.space != space:
        raise StudyError(
            f'found the study "{space.name}", which isn\'t of the space of that name as it is now; '
            f"delete it with histsearch study delete {space.name}, or use the spaces that it was "
            "created from"
        )
    return study
