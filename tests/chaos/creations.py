"""Creations of studies that are killed midway: each study is there whole, or not at all."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import ForkServerProcess

from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.exceptions import StorageError, StudyError
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from tests.integration.database.side_by_side import PROCESSES
from tests.integration.studies.small_search import complete_next, small_space

_SOURCE = "creations"
_QUEUE = [{"alpha": alpha, "batch_size": size} for alpha in (0.9, 1.0, 1.1) for size in (8, 16, 32)]
_SEEDS = 5
_LONGEST_SECONDS = 0.5  # from the first creation of a process to its death
_WAIT_SECONDS = 60.0


class Creations:
    """Kills processes that create searches and retrainings one after the other.

    Args:
        database: Where.
        seed: Of the times of their deaths.
    """

    def __init__(self, database: URL, seed: int) -> None:
        self._database = database
        self._random = random.Random(seed)  # noqa: S311 - chooses moments
        source = create_search(Storage(database), small_space(trials=1), name=_SOURCE)
        complete_next(source, 0.5)

    def kill(self, times: int) -> int:
        """Kill so many of them, however often the database is away meanwhile; their number."""
        killed = 0
        for number in count():
            if killed == times:
                break
            killed += self._kill_one(number)
        return killed

    def _kill_one(self, number: int) -> bool:
        """Whether a process could be killed over its creations, and didn't end before."""
        with _creating(self._database, number) as (process, pipe):
            try:
                began = pipe.poll(_WAIT_SECONDS) and pipe.recv()
            except EOFError:
                return False
            time.sleep(self._random.uniform(0, _LONGEST_SECONDS))
            process.kill()
            process.join()
            return bool(began)

    def faults(self) -> list[str]:
        """The studies of which only a part was created."""
        storage = Storage(self._database)
        names = [study.study_name for study in storage.optuna.get_all_studies()]
        return [
            f"{name} is half created"
            for name in names
            if name.startswith(f"{_SOURCE}-") and not _is_whole(storage, name)
        ]


@contextmanager
def _creating(database: URL, number: int) -> Iterator[tuple[ForkServerProcess, Pipe]]:
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_create_for_ever, args=(database, number, theirs))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


def _create_for_ever(database: URL, process: int, pipe: Pipe) -> None:
    """Create searches and retrainings in turn, every second process a retraining first."""
    try:
        storage = Storage(database)
        source = find_study(storage, _SOURCE)
        space = small_space(trials=len(_QUEUE), enqueue=_QUEUE)
        pipe.send(True)
        for number in count(process % 2):
            name = f"{_SOURCE}-{process}-{number}"
            if number % 2:
                create_retraining(source, name=name, top=1, seeds=_SEEDS)
            else:
                create_search(storage, space, name=name)
    except StorageError:  # the database is away
        return


def _is_whole(storage: Storage, name: str) -> bool:
    try:
        study = find_study(storage, name)
    except StudyError:
        return False
    if study.paused or len(study.trials()) != study.budget:
        return False
    return _has_its_seeds(study) if study.definition.source else study.budget == len(_QUEUE)


def _has_its_seeds(retraining: Study) -> bool:
    attributes = [trial.user_attrs for trial in retraining.trials()]
    return len(attributes) == _SEEDS and all(trial_record.ROLE in one for one in attributes)
