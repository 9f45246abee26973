"""Where the models of retrained trials lie."""

from pathlib import Path

from histsearch.exceptions import StudyError
from histsearch.studies import trial_record
from histsearch.studies.catalog import find_study
from histsearch.studies.storage import Storage


def trial_checkpoint(storage: Storage, trial: str) -> Path:
    """The file of a trial's trained model.

    Args:
        storage: The storage of its study.
        trial: "STUDY/NUMBER", such as "birds-retrain/0".

    Raises:
        StudyError: there is no such trial, it kept no model, or the file isn't on this machine.
    """
    name, slash, number = trial.rpartition("/")
    if not (slash and number.isdecimal()):
        raise StudyError(f'found "{trial}", allowed: STUDY/NUMBER, or the path of a checkpoint')
    study = find_study(storage, name)
    trials = {str(one.number): one for one in study.trials()}
    if number not in trials:
        raise StudyError(f'found no trial {number} in "{name}", which has {len(trials)} trials')
    attributes = trials[number].user_attrs
    file = attributes.get(trial_record.CHECKPOINT)
    if file is None:
        raise StudyError(
            f"found no model of {trial}: completed trials of a retraining keep theirs; see "
            "histsearch retrain --help"
        )
    if not Path(file).is_file():
        worker = attributes.get(trial_record.WORKER)
        raise StudyError(
            f"found no file {file} on this machine; worker {worker} wrote it on its own"
        )
    return Path(file)
