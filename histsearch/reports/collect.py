"""Gather a search's results into a report, and write it down."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.file_writing import write_whole
from histsearch.reports.cost import Cost, cost
from histsearch.reports.images import study_warnings
from histsearch.reports.markdown import render
from histsearch.reports.published_results import published_rows, published_source
from histsearch.reports.report import Gain, Report, Retrained
from histsearch.reports.statistics import Estimate, difference, estimate
from histsearch.reports.winner import winning_trial
from histsearch.sharing import make_folder
from histsearch.studies import trial_record
from histsearch.studies.attempt_slots import most_slots
from histsearch.studies.catalog import find_study
from histsearch.studies.half_created import half_created_studies
from histsearch.studies.images import known_census
from histsearch.studies.retraining_seeds import retrainings_of
from histsearch.studies.retraining_warnings import retraining_warnings
from histsearch.studies.study import Study
from histsearch.studies.trial_models import retrained_models


def build_report(storage: Storage, name: str) -> Report:
    """Gather what a search and its retrainings found.

    Args:
        name: A search, or one of its retrainings.

    Raises:
        StudyError: There is no such study, or it has no completed trial.
    """
    study = find_study(storage, name)
    if study.definition.source is not None:
        study = find_study(storage, study.definition.source)
    best = winning_trial(study)
    if best is None:
        raise StudyError(
            f'found no completed trial in "{study.name}"; run histsearch worker --study '
            f"{study.name} first"
        )
    retrainings = retrainings_of(study)
    several = len(retrainings) > 1
    retrained = [one for retraining in retrainings for one in _retrained(retraining, several)]
    space = study.definition.space
    return Report(
        study=study.name,
        space=space.name,
        dataset=space.dataset,
        backbone=space.backbone,
        loss=str(space.loss),
        objective=study.objective.label,
        selection=study.definition.selection,
        on_test_classes=study.definition.touches_test_classes,
        trials={state.name: study.count(state) for state in TrialState if study.count(state)},
        best=best,
        retrained=retrained,
        gain_over_baseline=_gain(retrained, best.number),
        published=published_rows(space.dataset, space.backbone),
        published_source=published_source(),
        search_cost=cost(study.trials(), space.epochs),
        retraining_cost=_retraining_cost(retrainings),
        unfinished_retrainings=[other.name for other in retrainings if not other.is_finished],
        half_created_retrainings=[
            str(half) for half in half_created_studies(storage) if half.source == study.name
        ],
        failed_runs=[failure for retraining in retrainings for failure in _failures(retraining)],
        retraining_warnings=[
            warning
            for retraining in retrainings
            for warning in retraining_warnings(study, retraining)
        ],
        provenance=_provenance([study, *retrainings]),
        models=[model for retraining in retrainings for model in retrained_models(retraining)],
        images=known_census(study),
        slots=most_slots([study, *retrainings]),
        warnings=study_warnings(study),
    )


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write ``report.json`` and ``report.md`` into ``folder``, creating it.

    Raises:
        OSError: The folder can't be written to.
    """
    make_folder(folder)
    as_json, as_markdown = folder / "report.json", folder / "report.md"
    content = asdict(report) | {"images": report.images and report.images.to_json()}
    write_whole(as_json, (json.dumps(content, indent=2) + "\n").encode())
    write_whole(as_markdown, render(report).encode())
    return as_json, as_markdown


def _failures(retraining: Study) -> list[str]:
    """Each run that gave no figure, with its reason."""
    return [
        f"{retraining.name} #{trial.number}: "
        f"{trial.user_attrs.get(trial_record.REASON, trial.state.name.lower())}"
        for trial in retraining.trials(TrialState.FAIL, TrialState.PRUNED)
    ]


def _retrained(retraining: Study, several: bool) -> list[Retrained]:
    groups: dict[tuple[str, int], list[FrozenTrial]] = {}
    for trial in retraining.trials(TrialState.COMPLETE):
        if trial_record.ROLE not in trial.user_attrs:  # added from outside
            continue
        key = (trial.user_attrs[trial_record.ROLE], trial.user_attrs[trial_record.SOURCE_TRIAL])
        groups.setdefault(key, []).append(trial)
    return [
        _configuration(retraining, role, source, trials, several)
        for (role, source), trials in groups.items()
    ]


def _configuration(
    retraining: Study, role: str, source_trial: int, trials: Sequence[FrozenTrial], several: bool
) -> Retrained:
    scores = [trial.value or 0.0 for trial in trials]
    recalls = [trial.user_attrs[trial_record.RECALL] for trial in trials]
    first = trials[0]
    return Retrained(
        study=retraining.name,
        label=f"{role} #{source_trial}" + (f" of {retraining.name}" if several else ""),
        role=role,
        source_trial=source_trial,
        parameters={
            name: value for name, value in first.params.items() if name != trial_record.SEED
        },
        epochs=first.user_attrs[trial_record.EPOCHS],
        objective=retraining.objective.label,
        score=estimate(scores),
        scores=scores,
        recall={int(k): estimate([recall[k] for recall in recalls]) for k in recalls[0]},
        others=_other_figures(trials),
    )


def _other_figures(trials: Sequence[FrozenTrial]) -> dict[str, Estimate]:
    """The figures besides R@K that all runs recorded, by their labels."""
    recorded = [trial.user_attrs.get(trial_record.FIGURES, {}) for trial in trials]
    return {
        label: estimate([figures[label] for figures in recorded])
        for label in recorded[0]
        if all(label in figures for figures in recorded)
    }


def _gain(retrained: Sequence[Retrained], best: int) -> Gain | None:
    """The score of the search's best trial over its baseline's, where one retraining has both."""
    for baseline in (one for one in retrained if one.role == trial_record.BASELINE):
        for tuned in (one for one in retrained if one.role == trial_record.TUNED):
            if tuned.study == baseline.study and tuned.source_trial == best:
                gain = difference(tuned.scores, baseline.scores)
                if gain is None:
                    return None
                return Gain(gain.mean, gain.half_width, gain.n, tuned.objective, tuned.study)
    return None


def _retraining_cost(retrainings: Sequence[Study]) -> Cost | None:
    trials = [trial for retraining in retrainings for trial in retraining.trials()]
    return cost(trials, 0) if trials else None


def _provenance(studies: Sequence[Study]) -> dict[str, Any]:
    """What all finished trials say of devices and software, each distinct answer once."""
    trials = [trial for study in studies for trial in study.trials() if trial.state.is_finished()]
    keys = (trial_record.DEVICE, trial_record.VERSIONS, trial_record.COMMIT)
    return {
        key: list({repr(t.user_attrs.get(key)): t.user_attrs.get(key) for t in trials}.values())
        for key in keys
    }
