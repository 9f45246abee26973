"""Searches that are tuned alike, each over a loss of its own, so that their winners compare."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError, StudyError
from histsearch.space.likeness import Difference, differences
from histsearch.space.space import Space
from histsearch.studies.catalog import (
    PlannedSearch,
    create_searches,
    find_study,
    is_taken,
    plan_search,
)
from histsearch.studies.definition import Limits, SearchDefinition
from histsearch.studies.study import Study
from histsearch.studies.tuning import planned_tuning
from histsearch.wording import counted, names_text

FEWEST = 2

_LIMITS = {"trials", *Limits._fields}


class AlikeSearch(NamedTuple):
    """One of some searches that are tuned alike.

    Attributes:
        study: It.
        is_new: Whether it was created just now, and didn't exist with the same definition.
    """

    study: Study
    is_new: bool


def plan_alike(spaces: Sequence[Space], *, trials: int | None = None) -> list[PlannedSearch]:
    """What `create_alike` makes of spaces that are tuned alike; no database is asked.

    Args:
        spaces: Two spaces or more.
        trials: The budget of each; its space's when left out.

    Raises:
        SpaceError: The spaces are fewer than two, two have one name, or they aren't tuned alike.
        StudyError: A budget can't be used.
    """
    _check_names(spaces)
    planned = _plan(spaces, trials)
    _check_alike(planned)
    return planned


def create_alike(storage: Storage, planned: Sequence[PlannedSearch]) -> list[AlikeSearch]:
    """Create searches that are tuned alike: all that don't exist yet, or none.

    Studies that exist with the same definition are kept, so this can be repeated.

    Args:
        storage: Where they are to be.
        planned: As `plan_alike` gives them.

    Raises:
        StudyError: A study of another definition has one of their names.
    """
    existing = _existing(storage, planned)
    create_searches(storage, [one for one in planned if one.name not in existing])
    return [AlikeSearch(find_study(storage, one.name), one.name not in existing) for one in planned]


def _check_names(spaces: Sequence[Space]) -> None:
    if len(spaces) < FEWEST:
        raise SpaceError(
            f"found {counted(len(spaces), 'space')} to compare, needed: {FEWEST} or more; give "
            "further spaces, or a folder of them"
        )
    names = [space.name for space in spaces]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise SpaceError(
            f"found several spaces with the name {names_text(twice)}; give each space a name of "
            "its own"
        )


def _plan(spaces: Sequence[Space], trials: int | None) -> list[PlannedSearch]:
    planned: list[PlannedSearch] = []
    faults: list[str] = []
    for space in spaces:
        try:
            planned.append(plan_search(space, trials=trials))
        except StudyError as error:
            faults.append(f"{space.name}: {error}")
    if faults:
        raise StudyError(*faults)
    return planned


def _check_alike(planned: Sequence[PlannedSearch]) -> None:
    found = differences([planned_tuning(one) for one in planned])
    if found:
        names = [one.name for one in planned]
        raise SpaceError(
            "found spaces that aren't tuned alike, allowed: the same values of all but the loss "
            "and its own hyperparameters; nothing was created, so bring these in line:",
            *(_who_differs(one, names) for one in found),
        )


def _who_differs(difference: Difference, names: Sequence[str]) -> str:
    """The searches with each value of a key: "epochs: 8 in c, 6 in the others"."""
    by_value: dict[str, list[str]] = {}
    for value, name in zip(difference.values, names, strict=True):
        by_value.setdefault(value, []).append(name)
    *fewer, (usual, most) = sorted(by_value.items(), key=lambda each: len(each[1]))
    each = [f"{value} in {names_text(those)}" for value, those in fewer]
    others = "the others" if len(most) > 1 else most[0]
    return f"  {difference.key}: {', '.join(each)}, {usual} in {others}"


def _existing(storage: Storage, planned: Sequence[PlannedSearch]) -> set[str]:
    """The names of the searches that exist already.

    Raises:
        StudyError: Studies of another definition have some of the names.
    """
    names: set[str] = set()
    faults: list[str] = []
    for one in planned:
        if not is_taken(storage, one.name):
            continue
        try:
            faults += _other_definition(find_study(storage, one.name), one)
        except StudyError as error:
            faults.append(str(error))
        names.add(one.name)
    if faults:
        raise StudyError(*faults)
    return names


def _other_definition(study: Study, planned: PlannedSearch) -> Iterator[str]:
    """What keeps a study from being the search that is planned, a sentence; nothing if it is it."""
    definition = study.definition
    if not isinstance(definition, SearchDefinition):
        yield (
            f'found "{study.name}", a retraining of "{definition.source}"; give the space another '
            "name"
        )
        return
    definition.check_version(study.name)
    own = _table(definition.space, study.budget, study.limits, study.warm_start)
    other = _table(planned.definition.space, planned.budget, planned.definition.limits, ())
    keys = [key for key in {**own, **other} if own.get(key) != other.get(key)]
    if keys:
        yield (
            f'found a study named "{study.name}" already, which differs from the space in '
            f"{', '.join(keys)}; give the space another name, or delete the study with histsearch "
            f"study delete {study.name}"
        )


def _table(
    space: Space, budget: int, limits: Limits, warm_start: Sequence[str]
) -> Mapping[str, Any]:
    kept = space.model_dump(mode="json", exclude=_LIMITS)
    return {**kept, "trials": budget, **limits.to_json(), "warm start": [*warm_start]}
