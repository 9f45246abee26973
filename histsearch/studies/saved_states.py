"""What lies in a checkpoint store, and what of it nobody will read.

A state outlives its trial where its worker couldn't remove it: where it was killed, or another
worker with a store of its own brought the trial to its end, or the study was deleted meanwhile.
Embeddings outlive their study where it was deleted from a machine that doesn't reach their store.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from optuna.trial import TrialState
from sqlalchemy import select

from histsearch.database.storage import Storage
from histsearch.database.tables import optuna_trials
from histsearch.exceptions import CheckpointDeniedError
from histsearch.studies.study import DEFINITION
from histsearch.training.checkpoint_store import CheckpointStore, StoredContent

_NAME = r"(?P<study>[A-Za-z0-9][A-Za-z0-9._-]*)"
_FOLDER = re.compile(_NAME + r"-(?P<key>[0-9a-f]*)-(?P<database>[0-9a-f]{8})")
_STATE = re.compile(r"(?P<number>\d+)\.run/.+")
_MODEL = re.compile(r"(?P<number>\d+)\.pt")
_EMBEDDINGS = re.compile(r"(?P<number>\d+)\.npz")
_CUT_SHORT = re.compile(r"\.(?P<number>\d+)\.(pt|npz)\.[0-9a-f]+")

# Of version 0.1.0, which named a folder after its study alone.
_OLD_FOLDER = re.compile(_NAME)
_OLD_STATE = re.compile(r"(?P<number>\d+)-(?P<key>[0-9a-f]*)\.run/.+")

_UNFINISHED = (TrialState.RUNNING.name, TrialState.WAITING.name)


class Owner(StrEnum):
    """Whose a folder is."""

    HERE = "exists"
    DELETED = "deleted"
    ELSEWHERE = "of another database"
    UNKNOWN = "can't be told"


class Saved(NamedTuple):
    """A file of a trial.

    Attributes:
        trial: Number of the trial.
        content: The file.
    """

    trial: int
    content: StoredContent


@dataclass(frozen=True)
class Stock:
    """What a study has in a store.

    Attributes:
        study: Name of the study.
        key: Its key; "" where the store doesn't tell.
        owner: Whose it is.
        states: States that may be gone on from, or that aren't this database's to judge.
        left_over: States of deleted studies and finished trials, and embeddings of deleted studies,
            which nobody will read.
        models: Models of retrained trials.
        embeddings: Embeddings of retrained trials that aren't left over.
    """

    study: str
    key: str
    owner: Owner
    states: tuple[Saved, ...]
    left_over: tuple[Saved, ...]
    models: tuple[Saved, ...]
    embeddings: tuple[Saved, ...] = ()


def take_stock(
    storage: Storage,
    store: CheckpointStore,
    study: str | None = None,
    on_denied: Callable[[CheckpointDeniedError], object] | None = None,
) -> list[Stock]:
    """What each study has in a store, by name.

    Args:
        storage: The database to ask for studies and trials.
        store: Where checkpoints lie; databases may share it.
        study: The name to look for; all when left out.
        on_denied: Told of what another user keeps from being listed; left out, it is raised.

    Raises:
        CheckpointError: The store can't be listed.
    """
    # The store is asked first. What it holds now belongs to trials that had begun; one that the
    # database, asked later, knows as finished or doesn't know will never need it again.
    contents = store.contents("" if study is None else study, on_denied)
    belongings: dict[_Place, list[_Found]] = {}
    for content in contents:
        found = _recognised(content)
        if found is not None and study in (None, found.place.study):
            belongings.setdefault(found.place, []).append(found)
    studies = _study_ids(storage)
    return [
        _stock(storage, studies, place, belongings[place])
        for place in sorted(belongings, key=lambda place: place[:2])
    ]


class Denied(NamedTuple):
    """A file that another user doesn't let this one remove.

    Attributes:
        saved: It.
        error: What stands in the way.
    """

    saved: Saved
    error: CheckpointDeniedError


def remove_left_over(store: CheckpointStore, stocks: Sequence[Stock]) -> list[Denied]:
    """Remove the files that nobody will read, and say which of them others keep.

    Raises:
        CheckpointError: One of them can't be removed for another reason.
    """
    denied: list[Denied] = []
    for saved in (saved for stock in stocks for saved in stock.left_over):
        try:
            store.remove(saved.content.key)
        except CheckpointDeniedError as error:
            denied.append(Denied(saved, error))
    return denied


class _Place(NamedTuple):
    study: str
    key: str
    database: str | None


class _Kind(StrEnum):
    STATE = "state"
    MODEL = "model"
    EMBEDDINGS = "embeddings"


class _Found(NamedTuple):
    place: _Place
    saved: Saved
    kind: _Kind


def _recognised(content: StoredContent) -> _Found | None:
    """What a file is; None if it is no file of a trial."""
    folder, _, rest = content.key.partition("/")
    named, old = _FOLDER.fullmatch(folder), _OLD_FOLDER.fullmatch(folder)
    patterns = (_STATE, _CUT_SHORT, _MODEL, _EMBEDDINGS)
    file = next(filter(None, (pattern.fullmatch(rest) for pattern in patterns)), None)
    if named and file:
        place = _Place(named["study"], named["key"], named["database"])
        return _found(place, file, content)
    file = _OLD_STATE.fullmatch(rest) or _MODEL.fullmatch(rest)
    if old and file:
        place = _Place(old["study"], file.groupdict().get("key") or "", None)
        return _found(place, file, content)
    return None


def _found(place: _Place, file: re.Match[str], content: StoredContent) -> _Found:
    kinds = {_MODEL: _Kind.MODEL, _EMBEDDINGS: _Kind.EMBEDDINGS}
    return _Found(place, Saved(int(file["number"]), content), kinds.get(file.re, _Kind.STATE))


def _stock(
    storage: Storage, studies: dict[tuple[str, str], int], place: _Place, belongings: list[_Found]
) -> Stock:
    study_id = studies.get((place.study, place.key))
    owner = _owner(storage, place, exists=study_id is not None)
    going_on = set() if study_id is None else _unfinished(storage, study_id)
    by_kind = {kind: [found.saved for found in belongings if found.kind == kind] for kind in _Kind}
    states, embeddings = by_kind[_Kind.STATE], by_kind[_Kind.EMBEDDINGS]
    left_over = [
        state
        for state in states
        if owner in (Owner.HERE, Owner.DELETED) and state.trial not in going_on
    ]
    if owner == Owner.DELETED:
        left_over += embeddings
    return Stock(
        place.study,
        place.key,
        owner,
        states=tuple(state for state in states if state not in left_over),
        left_over=tuple(left_over),
        models=tuple(by_kind[_Kind.MODEL]),
        embeddings=tuple(one for one in embeddings if one not in left_over),
    )


def _owner(storage: Storage, place: _Place, *, exists: bool) -> Owner:
    if place.database not in (None, storage.key):
        return Owner.ELSEWHERE
    if exists:
        return Owner.HERE
    return Owner.UNKNOWN if place.database is None else Owner.DELETED


def _study_ids(storage: Storage) -> dict[tuple[str, str], int]:
    """The studies by name and key, also those of other versions."""
    return {
        (frozen.study_name, frozen.user_attrs[DEFINITION].get("key", "")): frozen._study_id
        for frozen in storage.optuna.get_all_studies()
        if DEFINITION in frozen.user_attrs
    }


def _unfinished(storage: Storage, study_id: int) -> set[int]:
    """Numbers of the trials that run or wait."""
    query = select(optuna_trials.c.number).where(
        optuna_trials.c.study_id == study_id, optuna_trials.c.state.in_(_UNFINISHED)
    )
    with storage.begin() as connection:
        return set(connection.scalars(query))
