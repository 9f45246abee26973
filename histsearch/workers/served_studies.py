"""The studies that a worker serves, and those of them that it leaves to other workers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError

from histsearch.database.storage import Storage
from histsearch.exceptions import HistsearchError
from histsearch.studies.catalog import list_studies
from histsearch.studies.study import Study
from histsearch.workers.missing_resources import LackError
from histsearch.workers.settings import WorkerSettings

log = logging.getLogger(__name__)


class _Left(NamedTuple):
    """A study left to others, and why; without the error itself, which may hold what it read."""

    study: str
    kind: type[HistsearchError]
    reason: str


class ServedStudies:
    """The studies that a worker serves, in turn."""

    def __init__(self, storage: Storage, settings: WorkerSettings) -> None:
        self._storage = storage
        self._settings = settings
        self._left: dict[int, _Left] = {}  # by the study's key
        self._turns: dict[str, int] = {}

    def all(self) -> list[Study]:
        """Those named, or every study, without those left to others."""
        names = self._settings.study_names
        return [
            study
            for study in list_studies(self._storage)
            if study.id not in self._left and (not names or study.name in names)
        ]

    def open(self) -> list[Study]:
        """Studies with work, the one with the fewest running trials first.

        Among equals, the one this worker served longest ago comes first.
        """
        turns: list[tuple[int, int, str, Study]] = []
        for study in self.all():
            with unless_deleted(study):
                if study.is_open:
                    running = study.count(TrialState.RUNNING)
                    turns.append((running, self._turns.get(study.name, 0), study.name, study))
        return [study for *_, study in sorted(turns, key=lambda turn: turn[:3])]

    def take_turn(self, study: Study) -> None:
        """Note that a study is served now."""
        self._turns[study.name] = max(self._turns.values(), default=0) + 1

    def leave(self, study: Study, error: HistsearchError) -> None:
        """Leave a study, which this machine can't serve, to other workers."""
        log.error("leaving study %s to other workers until restarted: %s", study.name, error)
        self._left[study.id] = _Left(study.name, type(error), str(error))
        study.note_left(self._settings.identity.host, str(error))

    def check_left(self) -> None:
        """Don't idle, or end well, over studies that this machine can't serve.

        Raises:
            HistsearchError: A study was left for this, and there is no other to serve.
        """
        if not self._left:
            return
        existing = {study.id for study in list_studies(self._storage)}
        self._left = {key: left for key, left in self._left.items() if key in existing}
        names = set(self._settings.study_names)
        none_left = bool(names) and names <= {left.study for left in self._left.values()}
        for name, kind, reason in self._left.values():
            if none_left or self._settings.drain or self._is_of_no_use(kind):
                raise kind(f"study {name} was left to other workers: {reason}")

    def _is_of_no_use(self, kind: type[HistsearchError]) -> bool:
        """Whether this machine lacks what trials need, and nothing else may come up to serve."""
        if not issubclass(kind, LackError):
            return False
        return all(study.is_finished for study in self.all())


@contextmanager
def unless_deleted(study: Study) -> Iterator[None]:
    """Leave the block without a crash when the study is deleted meanwhile."""
    try:
        yield
    except (KeyError, IntegrityError):
        if not study.is_deleted:
            raise
        log.warning("study %s was deleted", study.name)
