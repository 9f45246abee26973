"""The winner of a search."""

from collections.abc import Mapping, Sequence
from typing import Any

from histsearch.reports.report import WinningTrial
from histsearch.studies import trial_record
from histsearch.studies.standing import StoredStanding, is_asked, known_standing
from histsearch.studies.study import Study
from histsearch.studies.trial_briefs import TrialBrief, complete_trials


def winning_trial(study: Study) -> WinningTrial | None:
    """The winner of a search so far; None before a trial is complete, and of a retraining."""
    complete = complete_trials(study) if study.definition.selects else []
    if not complete:
        return None
    stored = known_standing(study) if is_asked(study) else None
    best = _best(complete, stored)
    alike = [trial for trial in complete if trial.params == best.params]
    values: dict[int | None, list[float]] = {}
    for trial in alike:
        values.setdefault(trial.fold, []).append(trial.score)
    attributes = study.storage.optuna.get_trial(best.key).user_attrs
    return WinningTrial(
        best.number,
        dict(best.params),
        study.objective.label,
        best.score,
        attributes.get(trial_record.BEST_EPOCH),
        len(alike),
        _mean([_mean(of_fold) for of_fold in values.values()]),
        best.fold if study.definition.folds > 1 else None,
        judged=_judged(study, stored),
    )


def _best(complete: Sequence[TrialBrief], stored: StoredStanding | None) -> TrialBrief:
    """The first of the trials of the configuration that stands best, else of the highest value."""
    for configuration in () if stored is None else stored.standing.configurations:
        for trial in complete:
            if _is_of(trial.params, configuration):
                return trial
    return max(complete, key=lambda trial: trial.score)


def _is_of(params: Mapping[str, Any], configuration: Mapping[str, Any]) -> bool:
    return all(name in params and params[name] == value for name, value in configuration.items())


def _judged(study: Study, stored: StoredStanding | None) -> str | None:
    """When and by what the winner was chosen, where that isn't known or was just now."""
    if stored is not None:
        return stored.stored_at and f"at {stored.stored_at}, as a worker last asked the model"
    return "by its value alone, as no worker has asked the model yet" if is_asked(study) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
