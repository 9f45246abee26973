"""Searches that are tuned alike, each over a loss of its own, so that their winners compare."""

from collections.abc import Sequence

from histsearch.exceptions import SpaceError
from histsearch.space.likeness import Difference, differences
from histsearch.space.space import Space
from histsearch.studies.catalog import PlannedSearch
from histsearch.studies.searches_of_spaces import plan_searches
from histsearch.studies.tuning import planned_tuning
from histsearch.wording import counted, names_text

FEWEST = 2


def plan_alike(spaces: Sequence[Space], *, trials: int | None = None) -> list[PlannedSearch]:
    """The searches of spaces that are tuned alike; no database is asked.

    Args:
        spaces: Two spaces or more.
        trials: The budget of each; its space's when left out.

    Raises:
        SpaceError: The spaces are fewer than two, two have one name, or they aren't tuned alike.
        StudyError: A budget can't be used.
    """
    _check_names(spaces)
    planned = plan_searches(spaces, trials=trials)
    _check_alike(planned)
    return planned


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
