"""The searches of some spaces: those that exist, and the others created."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.space.refusals import show
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

_LIMITS = {"trials", *Limits._fields}


class SearchOfSpace(NamedTuple):
    """The search of a space.

    Attributes:
        study: It.
        is_new: Whether it was created just now, and didn't exist with the same definition.
    """

    study: Study
    is_new: bool


def plan_searches(spaces: Iterable[Space], *, trials: int | None = None) -> list[PlannedSearch]:
    """What `create_missing` makes of spaces; no database is asked.

    Args:
        spaces: The spaces.
        trials: The budget of each; its space's when left out.

    Raises:
        StudyError: Some can't be created: a line for each fault.
    """
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


def create_missing(
    storage: Storage, planned: Sequence[PlannedSearch], *, may_run_more: bool = False
) -> list[SearchOfSpace]:
    """Create the searches that don't exist yet: all of them, or none.

    Studies that exist with the same definition are kept, so this can be repeated.

    Args:
        storage: Where they are to be.
        planned: The searches, by names of their own.
        may_run_more: Whether one that exists is kept where its budget was raised since.

    Raises:
        StudyError: A study of another definition has one of their names.
    """
    existing = _existing(storage, planned, may_run_more)
    create_searches(storage, [one for one in planned if one.name not in existing])
    return [
        SearchOfSpace(find_study(storage, one.name), one.name not in existing) for one in planned
    ]


def _existing(storage: Storage, planned: Sequence[PlannedSearch], may_run_more: bool) -> set[str]:
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
            faults += _other_definition(find_study(storage, one.name), one, may_run_more)
        except StudyError as error:
            faults.append(str(error))
        names.add(one.name)
    if faults:
        raise StudyError(*faults)
    return names


def _other_definition(study: Study, planned: PlannedSearch, may_run_more: bool) -> Iterator[str]:
    """What keeps a study from being the search that is planned, a sentence; nothing if it is it."""
    definition = study.definition
    if not isinstance(definition, SearchDefinition):
        yield (
            f'found "{study.name}", a retraining of "{definition.source}"; give the space another '
            "name"
        )
        return
    definition.check_version(study.name)
    budget = min(study.budget, planned.budget) if may_run_more else study.budget
    own = _table(definition.space, budget, study.limits, study.warm_start)
    other = _table(planned.definition.space, planned.budget, planned.definition.limits, ())
    keys = [key for key in {**own, **other} if own.get(key) != other.get(key)]
    if keys:
        remedy = f"delete the study with histsearch study delete {study.name}"
        if _LIMITS.issuperset(keys):
            changes = " ".join(_setting(key, other[key]) for key in keys)
            remedy = f"change the study with histsearch study set {study.name} {changes}"
        yield (
            f'found a study named "{study.name}" already, which differs from the space in '
            f"{', '.join(keys)}; give the space another name, or {remedy}"
        )


def _setting(key: str, value: object) -> str:
    """What gives a study a limit, as an argument of a shell."""
    return shlex.quote(f"{key}={show(False if value is None else value)}")


def _table(
    space: Space, budget: int, limits: Limits, warm_start: Sequence[str]
) -> Mapping[str, Any]:
    kept = space.model_dump(mode="json", exclude=_LIMITS)
    return {**kept, "trials": budget, **limits.to_json(), "warm start": [*warm_start]}
