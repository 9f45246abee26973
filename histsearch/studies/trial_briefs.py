"""Trials of a study in brief, as commands show them: without most of their attributes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import TrialState
from sqlalchemy import TextClause, text
from sqlalchemy.engine import Row

from histsearch.search.freeze_thaw_trials import checked_fold
from histsearch.studies.stages import TrialStage
from histsearch.studies.study import Study
from histsearch.studies.trial_record import EPOCH_SECONDS, EPOCHS, FOLD, PAUSED, TO_THE_END

_BRIEFS = """
    SELECT trials.trial_id, number, {score} AS score, attributes.value_json AS fold,
        parameters.written
    FROM trials
    LEFT JOIN trial_values USING (trial_id)
    LEFT JOIN trial_user_attributes AS attributes
        ON attributes.trial_id = trials.trial_id AND key = :fold
    LEFT JOIN LATERAL (
        SELECT json_agg(
            json_build_array(param_name, param_value, distribution_json) ORDER BY param_id
        ) AS written
        FROM trial_params WHERE trial_params.trial_id = trials.trial_id
    ) AS parameters ON true
    {more}
    WHERE study_id = :study_id AND {condition}
    ORDER BY number
"""
_COMPLETE = text(
    _BRIEFS.format(score="coalesce(value, 0)", more="", condition="state = 'COMPLETE'")
)
_REACHED = text(
    _BRIEFS.format(
        score="greatest(value, curves.best)",
        more="""
        LEFT JOIN LATERAL (
            SELECT max(CASE intermediate_value_type WHEN 'INF_POS' THEN 'Infinity'
                ELSE intermediate_value END) AS best
            FROM trial_intermediate_values AS steps WHERE steps.trial_id = trials.trial_id
        ) AS curves ON true
        """,
        condition="greatest(value, curves.best) >= :least",
    )
)
_HIGHEST = text(
    _BRIEFS.format(
        score="highest.score",
        more="""
        JOIN (
            SELECT trials.trial_id, state, greatest(max(value), max(intermediate_value)) AS score,
                count(intermediate_value) AS epochs
            FROM trials
            LEFT JOIN trial_values USING (trial_id)
            LEFT JOIN trial_intermediate_values USING (trial_id)
            WHERE study_id = :study_id AND CAST(state AS text) = ANY(:states)
            GROUP BY trials.trial_id
            ORDER BY score DESC NULLS LAST, number
            LIMIT 1
        ) AS highest ON highest.trial_id = trials.trial_id AND highest.score IS NOT NULL
        """,
        condition="true",
    ).replace("parameters.written", "parameters.written, highest.state, highest.epochs")
)
_CURVES = text(
    _BRIEFS.format(
        score="coalesce(value, 0)",
        more="""
        JOIN LATERAL (
            SELECT array_agg(CASE intermediate_value_type WHEN 'INF_POS' THEN 'Infinity'
                WHEN 'INF_NEG' THEN '-Infinity' WHEN 'NAN' THEN 'NaN'
                ELSE intermediate_value END ORDER BY step) AS curve
            FROM trial_intermediate_values AS steps WHERE steps.trial_id = trials.trial_id
        ) AS curves ON curve IS NOT NULL
        """,
        condition="true",
    ).replace("parameters.written", "parameters.written, curves.curve")
)
_PROGRESS = text(
    _BRIEFS.format(
        score="greatest(value, curves.best)",
        more="""
        LEFT JOIN LATERAL (
            SELECT max(intermediate_value) AS best,
                array_agg(CASE intermediate_value_type WHEN 'FINITE' THEN intermediate_value END
                    ORDER BY step) AS curve
            FROM trial_intermediate_values AS steps WHERE steps.trial_id = trials.trial_id
        ) AS curves ON true
        LEFT JOIN LATERAL (
            SELECT json_object_agg(key, value_json) AS noted
            FROM trial_user_attributes AS own
            WHERE own.trial_id = trials.trial_id AND key = ANY(:noted)
        ) AS notes ON true
        LEFT JOIN trial_system_attributes AS queued
            ON queued.trial_id = trials.trial_id AND queued.key = 'fixed_params'
        LEFT JOIN LATERAL (
            SELECT workers.name AS worker
            FROM histsearch_attempts AS attempts
            JOIN histsearch_workers AS workers ON workers.id = attempts.worker_id
            WHERE attempts.trial_id = trials.trial_id
            ORDER BY attempts.number DESC LIMIT 1
        ) AS last_attempt ON true
        """,
        condition="true",
    ).replace(
        "parameters.written",
        "parameters.written, state, curves.curve, notes.noted, worker, queued.value_json AS queued",
    )
)


@dataclass(frozen=True)
class TrialBrief:
    """A trial in brief.

    Attributes:
        key: Its key in the database.
        number: Its number within its study.
        score: Its best score, in [0, 1].
        params: Its parameters.
        fold: The fold it was validated on, from 0 on; None where its study doesn't know that one.
    """

    key: int
    number: int
    score: float
    params: Mapping[str, Any]
    fold: int | None


def complete_trials(study: Study) -> list[TrialBrief]:
    """The completed trials of a study, by number; the score of each is its value."""
    return _read(study, _COMPLETE)


def trials_that_reached(study: Study, score: float) -> list[TrialBrief]:
    """The trials of a study that had a score as high after an epoch, by number."""
    return _read(study, _REACHED, least=score)


@dataclass(frozen=True)
class TrialProgress:
    """How far a trial is.

    Attributes:
        number: Its number within its study.
        stage: Where it is between its queue and its result.
        epochs: Epochs that it has trained.
        planned_epochs: Its full length.
        best: Its best score so far, in [0, 1]; None before the first.
        curve: Its score after each epoch, None where that is no finite number; empty in a
            retraining, which is tested once.
        params: Its parameters; of one that is queued those that are given.
        fold: As `TrialBrief.fold`.
        worker: Name of the worker that trains it, or did last; None where none has.
    """

    number: int
    stage: TrialStage
    epochs: int
    planned_epochs: int
    best: float | None
    curve: Sequence[float | None]
    params: Mapping[str, Any]
    fold: int | None
    worker: str | None


def trial_progress(study: Study) -> list[TrialProgress]:
    """How far each trial of a study is, by number."""
    noted = [PAUSED, TO_THE_END, EPOCHS]
    if not study.definition.selects:  # it has no curves, whose epochs would count
        noted.append(EPOCH_SECONDS)
    rows = _rows(study, _PROGRESS, noted=noted)
    return [_progress(study, row) for row in rows]


def best_first(trials: Iterable[TrialProgress]) -> list[TrialProgress]:
    """Those with a score, the best first; of equals the earlier one."""
    scored = [(trial.best, trial) for trial in trials if trial.best is not None]
    return [trial for _, trial in sorted(scored, key=lambda pair: -pair[0])]


def _progress(study: Study, row: Row[Any]) -> TrialProgress:
    brief = _brief(study, row)
    noted = {key: json.loads(value) for key, value in (row.noted or {}).items()}
    own_length, seconds = noted.get(EPOCHS), noted.get(EPOCH_SECONDS)
    curve = row.curve or []
    trained = len(seconds) if isinstance(seconds, list) and not curve else len(curve)
    return TrialProgress(
        row.number,
        TrialStage.at(
            TrialState[row.state],
            paused=bool(noted.get(PAUSED)),
            to_the_end=bool(noted.get(TO_THE_END)),
        ),
        trained,
        own_length if isinstance(own_length, int) else study.definition.space.epochs,
        row.score,
        curve,
        {**json.loads(row.queued or "{}"), **brief.params},
        brief.fold,
        row.worker,
    )


class HighestTrial(NamedTuple):
    """The trial with the highest score.

    Attributes:
        brief: It.
        state: Where it is.
        epochs: How many epochs it has reported.
    """

    brief: TrialBrief
    state: TrialState
    epochs: int


def highest_trial(study: Study, *states: TrialState) -> HighestTrial | None:
    """The trial of a study with the highest score after an epoch, the first of equals.

    Args:
        study: The study.
        states: Of the trials to look at; where left out, of all that didn't fail.
    """
    among = states or [state for state in TrialState if state != TrialState.FAIL]
    rows = _rows(study, _HIGHEST, states=[state.name for state in among])
    for row in rows:
        return HighestTrial(_brief(study, row), TrialState[row.state], row.epochs)
    return None


def learning_curves(study: Study) -> list[tuple[TrialBrief, list[float]]]:
    """The trials of a study that have reported an epoch, by number, with the score after each."""
    return [(_brief(study, row), row.curve) for row in _rows(study, _CURVES)]


def _read(study: Study, query: TextClause, **values: object) -> list[TrialBrief]:
    return [_brief(study, row) for row in _rows(study, query, **values)]


def _rows(study: Study, query: TextClause, **values: object) -> Sequence[Row[Any]]:
    with study.storage.singly() as connection:
        return connection.execute(query, {"study_id": study.id, "fold": FOLD, **values}).all()


def _brief(study: Study, row: Row[Any]) -> TrialBrief:
    fold = None if row.fold is None else json.loads(row.fold)
    return TrialBrief(
        row.trial_id,
        row.number,
        row.score,
        {
            name: _distribution(distribution).to_external_repr(float(value))
            for name, value, distribution in row.written or ()
        },
        checked_fold(fold, study.definition.folds),
    )


@lru_cache(maxsize=1024)
def _distribution(written: str) -> BaseDistribution:
    return json_to_distribution(written)
