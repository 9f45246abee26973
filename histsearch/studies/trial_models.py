"""The trained models of a retraining's trials."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.studies import trial_record
from histsearch.studies.catalog import find_study
from histsearch.studies.chosen_configurations import Origin
from histsearch.studies.kept_files import S3_SCHEME, read_kept
from histsearch.studies.study import Study
from histsearch.wording import counted


@dataclass(frozen=True)
class TrialModel:
    """A trial's trained model.

    Attributes:
        file: It, on this machine.
        place: Where its worker kept it: a path, or an s3:// address.
    """

    file: Path
    place: str


@contextmanager
def trial_model(storage: Storage, trial: str) -> Iterator[TrialModel]:
    """A trial's trained model; the file of one from an S3 store is there for the block alone.

    Args:
        storage: The storage of its study.
        trial: "STUDY/NUMBER", such as "birds-retrain/0".

    Raises:
        StudyError: There is no such trial, it kept no model, or the file isn't on this machine.
        CheckpointError: The store doesn't give it.
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
    if kept.startswith(S3_SCHEME):
        with _fetched(kept) as file:
            yield TrialModel(file, kept)
        return
    if not Path(kept).is_file():
        worker = attributes.get(trial_record.WORKER)
        raise StudyError(
            f"found no file {kept} on this machine; worker {worker} wrote it on its own"
        )
    yield TrialModel(Path(kept), kept)


@contextmanager
def _fetched(place: str) -> Iterator[Path]:
    content = read_kept(place)
    if content is None:
        raise StudyError(f"found no object {place}, which was there when its trial ended")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / place.rpartition("/")[2]
        file.write_bytes(content)
        yield file


@dataclass(frozen=True)
class RetrainedModel:
    """The model of a completed trial of a retraining.

    Attributes:
        trial: The trial as commands take it, STUDY/NUMBER.
        role: "tuned" or "baseline".
        label: Short name of its configuration, such as "tuned #11".
        source_trial: The search's trial with its configuration; None where there is none.
        seed: The seed of its run.
        place: A path on the worker's machine, or an s3:// address; None if it couldn't be kept.
        worker: The worker that trained it.
    """

    trial: str
    role: str
    label: str
    source_trial: int | None
    seed: int
    place: str | None
    worker: str | None

    def __str__(self) -> str:
        """Its trial, role, seed and place on one line."""
        place = self.place or "could not be kept"
        on = "" if self.place is None or self.place.startswith(S3_SCHEME) else f" on {self.worker}"
        return f"{self.trial}: {self.label}, seed {self.seed}: {place}{on}"


def retrained_models(retraining: Study) -> list[RetrainedModel]:
    """The models of a retraining's completed trials, by number; a search has none."""
    if retraining.definition.source is None:
        return []
    return [
        RetrainedModel(
            trial=f"{retraining.name}/{trial.number}",
            role=trial.user_attrs[trial_record.ROLE],
            label=Origin.of(trial).label,
            source_trial=trial.user_attrs.get(trial_record.SOURCE_TRIAL),
            seed=trial.params[trial_record.SEED],
            place=trial.user_attrs.get(trial_record.CHECKPOINT),
            worker=trial.user_attrs.get(trial_record.WORKER),
        )
        for trial in retraining.trials(TrialState.COMPLETE)
        if trial_record.ROLE in trial.user_attrs  # a creation cut short leaves trials without
    ]
