"""The embeddings that a retraining's trial has kept."""

import io

from optuna.trial import FrozenTrial, TrialState

from histsearch.exceptions import CheckpointError, StudyError
from histsearch.studies import trial_record
from histsearch.studies.embeddings_file import EmbeddingsFile, read_embeddings_file
from histsearch.studies.kept_files import S3_SCHEME, read_kept


def trial_embeddings(trial: FrozenTrial) -> EmbeddingsFile:
    """The embeddings of a retraining's trial.

    Raises:
        StudyError: It kept none, or they aren't to be found from this machine.
        CheckpointError: They are damaged, or the store doesn't give them.
    """
    place = _place(trial)
    content = read_kept(place)
    if content is None:
        raise StudyError(f"found no {place}, {_whereabouts(trial, place)}")
    try:
        return read_embeddings_file(io.BytesIO(content))
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error}") from error


def _place(trial: FrozenTrial) -> str:
    found = f"found no embeddings of trial {trial.number}"
    if trial.state != TrialState.COMPLETE:
        raise StudyError(f"{found}: a trial keeps them as it ends, and this one isn't complete")
    if trial_record.FIGURES not in trial.user_attrs:
        raise StudyError(
            f"{found}: an earlier version of histsearch retrained it, or it is a search's; add "
            "seeds to the retraining to have some (histsearch retrain --add-seeds)"
        )
    if trial_record.EMBEDDINGS not in trial.user_attrs:
        raise StudyError(f"{found}: its worker couldn't write them, and its log says why")
    return str(trial.user_attrs[trial_record.EMBEDDINGS])


def _whereabouts(trial: FrozenTrial, place: str) -> str:
    if place.startswith(S3_SCHEME):
        return "which was there when its trial ended"
    worker = trial.user_attrs.get(trial_record.WORKER)
    return f"which worker {worker} wrote on its own machine, unless it was removed since"
