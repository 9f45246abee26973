"""The studies that a worker serves, and those of them that it leaves to other workers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError

from histsearch.database.changes import Moment
from histsearch.database.storage import Storage
from histsearch.exceptions import HistsearchError, StudyError
from histsearch.studies.catalog import find_study
from histsearch.studies.standing import note_last_standing
from histsearch.studies.study import DEFINITION, Study
from histsearch.workers.missing_resources import LackError
from histsearch.workers.settings import WorkerSettings

log = logging.getLogger(__name__)


class _Left(NamedTuple):
    """A study left to others, and why; without the error itself, which may hold what it read."""

    study: str
    kind: type[HistsearchError]
    reason: str


class _Found(NamedTuple):
    """A study as it was found; None for one that isn't to be served."""

    study: Study | None
    definition: object


class ServedStudies:
    """The studies that a worker serves, in turn.

    Each is looked at again when it has changed; that costs one question for all of them.
    """

    def __init__(self, storage: Storage, settings: WorkerSettings) -> None:
        self._storage = storage
        self._settings = settings
        self._left: dict[int, _Left] = {}  # by the study's key
        self._turns: dict[str, int] = {}
        self._seen: Moment | None = None
        self._found: dict[int, _Found] = {}  # by the study's key
        self._without_work: set[int] = set()  # since they changed last

    def all(self) -> list[Study]:
        """Those named, or every study, without those left to others, by name."""
        self._look()
        served = [
            study
            for key, (study, _) in self._found.items()
            if study is not None and key not in self._left
        ]
        return sorted(served, key=lambda study: study.name)

    def _look(self) -> None:
        """Find the studies that came, went or changed."""
        keeping = self._storage.keeping
        glance = keeping.glance(self._seen)
        for key in self._found.keys() - glance.studies.keys():
            del self._found[key]
            keeping.forget(key)
        for key in [key for key, changed in glance.studies.items() if changed]:
            with keeping.at_one_moment():
                self._found[key] = self._find(key)
            self._without_work.discard(key)
        self._seen = glance.moment

    def _find(self, key: int) -> _Found:
        """A study; the same as before, unless somebody has changed its definition."""
        known = self._found.get(key, _Found(None, None))
        definition = None
        try:
            definition = self._storage.keeping.attributes(key).get(DEFINITION)
            if known.study is not None and known.definition == definition:
                return known
            name = self._storage.optuna.get_study_name_from_id(key)
            names = self._settings.study_names
            is_served = definition is not None and (not names or name in names)
            return _Found(find_study(self._storage, name) if is_served else None, definition)
        except (KeyError, StudyError):  # deleted a moment ago, or one that can't be read
            return _Found(None, definition)

    def open(self) -> list[Study]:
        """Studies with work, the one with the fewest running trials first.

        Among equals, the one this worker served longest ago comes first.
        """
        turns: list[tuple[int, int, str, Study]] = []
        finished: list[Study] = []
        with self._storage.keeping.at_one_moment():
            for study in self.all():
                if study.id in self._without_work:
                    continue
                with unless_deleted(study):
                    if study.is_open:
                        running = study.count(TrialState.RUNNING)
                        turns.append((running, self._turns.get(study.name, 0), study.name, study))
                        continue
                    self._without_work.add(study.id)
                    if study.is_finished:
                        finished.append(study)
        for study in finished:
            self.note_end(study)
        return [study for *_, study in sorted(turns, key=lambda turn: turn[:3])]

    def note_end(self, study: Study) -> None:
        """Store how a search stands, for those who ask what is best, if it is finished."""
        with unless_deleted(study):
            try:
                note_last_standing(study)
            except (ArithmeticError, MemoryError, ValueError) as error:  # as for a next trial
                log.warning("study %s: its model gives no last answer: %s", study.name, error)
        self._storage.keeping.forget(study.id)

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
        self._look()
        self._left = {key: left for key, left in self._left.items() if key in self._found}
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
