"""The images behind a study's figures, and what the figures can't tell because of them."""

from optuna.trial import FrozenTrial

from histsearch.data.census import Census
from histsearch.search.freeze_thaw_trials import fold_of
from histsearch.studies.images import image_warnings, known_census
from histsearch.studies.study import Study

_ALL = 1.0


def study_warnings(study: Study) -> list[str]:
    """What a study's score can't tell, a sentence each; of its images once a worker read them."""
    census = known_census(study)
    warnings = [] if census is None else image_warnings(study, census)
    if study.definition.selects and (saturated := _saturated(study, census)):
        warnings.append(saturated)
    return warnings


def _saturated(study: Study, census: Census | None) -> str | None:
    """That configurations stand at the highest score there can be, which can't rank them."""
    percent, which = ("100%", "validation")
    if census is not None:
        percent, which = census.judge.highest_percent, census.judge.name
    reached = {
        repr(sorted(trial.params.items()))
        for trial in study.trials()
        if _reached(trial, _highest(trial, census))
    }
    if not reached:
        return None
    configurations = (
        "1 configuration reaches" if len(reached) == 1 else f"{len(reached)} configurations reach"
    )
    return (
        f"{configurations} {percent}, the highest {study.objective.label} there can be, so the "
        f"{which} images can't show which is best; use more classes, or harder ones"
    )


def _highest(trial: FrozenTrial, census: Census | None) -> float:
    """The highest score there can be for a trial, in [0, 1]."""
    if census is None:
        return _ALL
    fold = fold_of(trial, len(census.folds)) if census.folds else 0
    return (census.judge if fold is None else census.judge_of(fold)).highest_score


def _reached(trial: FrozenTrial, score: float) -> bool:
    return any(found >= score for found in (*trial.intermediate_values.values(), trial.value or 0))
