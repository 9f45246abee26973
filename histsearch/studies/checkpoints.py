"""Where the models of retrained trials lie."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.studies import trial_record
from histsearch.studies.catalog import find_study
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.wording import counted

_S3_SCHEME = "s3://"


def model_key(study: str, number: int) -> str:
    """The key of a retrained trial's model in a checkpoint store."""
    return f"{study}/{number}.pt"


@contextmanager
def trial_checkpoint(storage: Storage, trial: str) -> Iterator[Path]:
    """The file of a trial's trained model; one from an S3 store is there for the block alone.

    Args:
        storage: The storage of its study.
        trial: "STUDY/NUMBER", such as "birds-retrain/0".

    Raises:
        StudyError: there is no such trial, it kept no model, or the file isn't on this machine.
        CheckpointError: the store doesn't give it.
    """
    name, slash, number = trial.rpartition("/")
    if not (slash and number.isdecimal()):
        raise StudyError(f'found "{trial}", allowed: STUDY/NUMBER, or the path of a checkpoint')
    study = find_study(storage, name)
    trials = {str(one.number): one for one in study.trials()}
    if number not in trials:
        raise StudyError(
            f'found no trial {number} in "{name}", which has {counted(len(trials), "trial")}'
        )
    attributes = trials[number].user_attrs
    kept = attributes.get(trial_record.CHECKPOINT)
    if kept is None:
        raise StudyError(
            f"found no model of {trial}: completed trials of a retraining keep theirs; see "
            "histsearch retrain --help"
        )
    if kept.startswith(_S3_SCHEME):
        with _fetched(kept, model_key(name, int(number))) as file:
            yield file
        return
    if not Path(kept).is_file():
        worker = attributes.get(trial_record.WORKER)
        raise StudyError(
            f"found no file {kept} on this machine; worker {worker} wrote it on its own"
        )
    yield Path(kept)


@contextmanager
def _fetched(place: str, key: str) -> Iterator[Path]:
    content = open_checkpoint_store(place.removesuffix(f"/{key}")).read(key)
    if content is None:
        raise StudyError(f"found no object {place}, which was there when its trial ended")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(key).name
        file.write_bytes(content)
        yield file
