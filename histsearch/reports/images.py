"""The images behind a study's figures, and what the figures can't tell because of them."""

from histsearch.data.census import Census
from histsearch.studies.images import image_warnings, known_census
from histsearch.studies.study import Study
from histsearch.studies.trial_briefs import trials_that_reached


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
    lowest = 1.0
    if census is not None:
        lowest = min(_highest(fold, census) for fold in (None, *range(len(census.folds))))
    reached = {
        repr(sorted(trial.params.items()))
        for trial in trials_that_reached(study, lowest)
        if census is None or trial.score >= _highest(trial.fold, census)
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


def _highest(fold: int | None, census: Census) -> float:
    """The highest score there can be for a trial on a fold, in [0, 1]."""
    judge = census.judge_of(fold) if census.folds and fold is not None else census.judge
    return judge.highest_score
