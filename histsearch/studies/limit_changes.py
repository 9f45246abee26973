"""When a search ends can be changed while it runs; what it searches can't."""

from collections.abc import Mapping
from typing import Any

from histsearch.exceptions import StudyError
from histsearch.space.reading import parse_space
from histsearch.studies.definition import Limits, SearchDefinition
from histsearch.studies.stages import StudyMove, move_study
from histsearch.studies.study import BUDGET, CHANCE_OF_BETTER, LIMITS, Study

KEYS = ("trials", *Limits._fields)


def change_limits(study: Study, changes: Mapping[str, Any]) -> None:
    """Give a search another budget of trials, other hours, or another rule for its winner.

    One that has ended goes on, unless its workers find it due by the new limits as well.

    Args:
        study: The search.
        changes: New values of `KEYS`, as a space has them.

    Raises:
        SpaceError: A value isn't allowed.
        StudyError: The study is a retraining or was deleted, another key was given, or more trials
            were begun than the new budget holds.
    """
    name, definition = study.name, study.definition
    if definition.source is not None:
        raise StudyError(
            f'found "{name}", a retraining, which ends with its seeds; add some with histsearch '
            f'retrain {name} --add-seeds N, or set a search such as "{definition.source}"'
        )
    for key in changes:
        if key not in KEYS:
            raise StudyError(
                f'found the key "{key}", allowed: {", ".join(KEYS)}; for anything else create a '
                f"study anew, with --warm-start {name}"
            )
    try:
        _change(study, definition, changes)
    except KeyError:
        raise StudyError(f'found no study "{name}" any more; it was deleted just now') from None


def _change(study: Study, definition: SearchDefinition, changes: Mapping[str, Any]) -> None:
    with study.storage.lock(study.id) as connection:
        begun = study.count()
        known = definition.space.model_dump() | study.limits._asdict()
        space = parse_space({**known, **changes}, source=f'"{study.name}"', is_new=False)
        budget = changes.get("trials", study.budget)
        if budget < begun:
            raise StudyError(
                f"found trials = {budget}, allowed: at least {begun}, as so many have begun or are "
                f"queued; histsearch study pause {study.name} starts no more"
            )
        within = study.storage.optuna_within(connection)
        limits = Limits(space.gpu_hours, space.decided)
        for attribute, value in (
            (BUDGET, budget),
            (LIMITS, limits.to_json()),
            (CHANCE_OF_BETTER, None),
        ):
            within.set_study_user_attr(study.id, attribute, value)
        move_study(within, study.id, StudyMove.CHANGE_LIMITS)
