"""When a search ends can be changed while it runs; what it searches can't."""

from collections.abc import Mapping
from typing import Any

from histsearch.exceptions import StudyError
from histsearch.search.space import parse_space
from histsearch.studies.study import BUDGET, DEFINITION, ENDED, Study

LIMITS = ("trials", "gpu_hours", "decided")


def change_limits(study: Study, changes: Mapping[str, Any]) -> None:
    """Give a search another budget of trials, other hours, or another rule for its winner.

    One that has ended goes on, unless its workers find it due by the new limits as well.

    Args:
        study: The search; load it anew afterwards.
        changes: New values of `LIMITS`, as a space has them.

    Raises:
        SpaceError: a value isn't allowed.
        StudyError: the study is a retraining, another key was given, or more trials were begun
            than the new budget holds.
    """
    name = study.name
    if study.definition.kind == "retrain":
        raise StudyError(f'found "{name}", a retraining, which ends with its seeds; set a search')
    for key in changes:
        if key not in LIMITS:
            raise StudyError(
                f'found the key "{key}", allowed: {", ".join(LIMITS)}; for anything else create a '
                f"study anew, with --warm-start {name}"
            )
    with study.storage.lock(study.id):
        definition, begun = study.definition, study.count()
        table = {**definition.space.model_dump(), "trials": study.budget, **changes}
        space = parse_space(table, source=f'"{name}"')
        if space.trials < begun:
            raise StudyError(
                f"found trials = {space.trials}, allowed: at least {begun}, as so many have begun "
                f"or are queued; histsearch study pause {name} starts no more"
            )
        changed = definition.model_copy(update={"space": space})
        study.optuna_study.set_user_attr(DEFINITION, changed.model_dump(mode="json"))
        study.optuna_study.set_user_attr(BUDGET, space.trials)
        study.optuna_study.set_user_attr(ENDED, None)
