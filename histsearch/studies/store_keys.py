"""The keys of trials' states, models and embeddings in a checkpoint store.

A study's folder is named after what the study is, and after its database. So a new study of a
deleted one's name meets nothing of it, and databases may share a place.
"""

from histsearch.studies.study import Study


def study_folder(study: Study) -> str:
    """The folder of a study in a checkpoint store."""
    return f"{study.name}-{study.definition.key}-{study.storage.key}"


def model_key(study: Study, number: int) -> str:
    """The key of a retrained trial's model in a checkpoint store."""
    return f"{study_folder(study)}/{number}.pt"


def embeddings_key(study: Study, number: int) -> str:
    """The key of a retrained trial's embeddings in a checkpoint store."""
    return f"{study_folder(study)}/{number}.npz"


def states_key(study: Study, number: int) -> str:
    """The key that a trial's saved states lie under in a checkpoint store."""
    return f"{study_folder(study)}/{number}.run"
