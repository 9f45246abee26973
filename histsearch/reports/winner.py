"""What a search says is best: its winner, and its leader until a trial of one is complete."""

from collections.abc import Sequence
from typing import NamedTuple

from histsearch.reports.leader import Leader, find_leader, is_of
from histsearch.reports.report import WinningTrial
from histsearch.reports.what_mattered import WhatMattered, what_mattered
from histsearch.studies import trial_record
from histsearch.studies.standing import StoredStanding, is_asked, known_standing
from histsearch.studies.study import Study
from histsearch.studies.trial_briefs import TrialBrief, complete_trials

_FEW = 3  # complete configurations, before the edge that the winner lies at says something


class Judgement(NamedTuple):
    """What a search says is best.

    Attributes:
        winner: Its winner so far; None before a trial is complete, and of a retraining.
        leader: Its leader; None before the first epoch, and of a retraining.
        judged: When and by what these were chosen, where there is either; None where values decide,
            or the model was asked just now.
        mattered: Which parameters mattered.
    """

    winner: WinningTrial | None = None
    leader: Leader | None = None
    judged: str | None = None
    mattered: WhatMattered = WhatMattered()


def judge(study: Study) -> Judgement:
    """What a search says is best at this moment."""
    if not study.definition.selects:
        return Judgement()
    complete = complete_trials(study)
    stored = known_standing(study) if is_asked(study) else None
    winner, leader = _winner(study, complete, stored), find_leader(study, complete, stored)
    shares = [] if stored is None else stored.standing.shares
    known = shares or len({repr(sorted(one.params.items())) for one in complete}) >= _FEW
    return Judgement(
        winner,
        leader,
        _judged(study, stored) if winner or leader else None,
        what_mattered(
            study.definition.space, shares, winner.parameters if winner and known else None
        ),
    )


def winning_trial(study: Study) -> WinningTrial | None:
    """The winner of a search so far; as `Judgement.winner`."""
    complete = complete_trials(study) if study.definition.selects else []
    if not complete:
        return None
    return _winner(study, complete, known_standing(study) if is_asked(study) else None)


def _winner(
    study: Study, complete: Sequence[TrialBrief], stored: StoredStanding | None
) -> WinningTrial | None:
    if not complete:
        return None
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
            if is_of(trial, configuration):
                return trial
    return max(complete, key=lambda trial: trial.score)


def _judged(study: Study, stored: StoredStanding | None) -> str | None:
    """When and by what the winner was chosen, where that isn't known or was just now."""
    if stored is not None:
        return stored.stored_at and f"at {stored.stored_at}, as a worker last asked the model"
    return "by its value alone, as no worker has asked the model yet" if is_asked(study) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
