"""One study as data: its space, its progress and its result."""

from dataclasses import asdict
from typing import Any

from histsearch.reports.epochs_done import epochs_done, may_end_earlier
from histsearch.reports.fold_comparison import FoldComparison
from histsearch.reports.images import study_warnings
from histsearch.reports.status import study_state
from histsearch.reports.time_left import time_left
from histsearch.reports.winner import Judgement
from histsearch.studies.epoch_sums import sum_epochs
from histsearch.studies.images import known_census
from histsearch.studies.study import Study
from histsearch.studies.trial_briefs import highest_trial
from histsearch.studies.trial_models import retrained_models
from histsearch.studies.trial_sums import sums_of
from histsearch.workers.registry import list_workers


def study_summary(
    study: Study, judgement: Judgement, folds: FoldComparison | None
) -> dict[str, Any]:
    """The contents of ``histsearch study show --json``.

    Args:
        study: A search or a retraining.
        judgement: What it says is best, as `winner.judge` finds it.
        folds: How much its folds differ, as `compare_folds` finds it.
    """
    best, leader = judgement.winner, judgement.leader
    highest = highest_trial(study) if study.definition.selects else None
    census = known_census(study)
    sums, epochs = sums_of(study), sum_epochs(study)
    left = time_left(study, epochs, sums.seconds, list_workers(study.storage))
    return {
        "study": study.name,
        "kind": study.definition.kind,
        "source": study.definition.source,
        "dataset": study.definition.space.dataset,
        "backbone": study.definition.space.backbone,
        "loss": str(study.definition.space.loss),
        "objective": study.objective.label,
        "selection": study.definition.selection,
        "state": study_state(study),
        "warm_start": study.warm_start,
        "ended": study.ended,
        "chance_of_better": study.chance_of_better,
        "limits": study.limits.to_json(),
        "left_by": study.left_by,
        "images": None if census is None else census.to_json(),
        "warnings": study_warnings(study),
        "budget": study.budget,
        "finished": sums.finished,
        "trials": sums.by_name(),
        "epochs": asdict(epochs_done(study, epochs)),
        "time_left": left and asdict(left),
        "may_end_earlier": may_end_earlier(study),
        "leader": leader and asdict(leader),
        "best": best
        and {
            "number": best.number,
            "value": best.score,
            "epoch": best.epoch,
            "params": best.parameters,
            "trials": best.trials,
            "mean": best.mean_score,
            "fold": best.fold,
            "judged": best.judged,
        },
        "highest": highest
        and {
            "number": highest.brief.number,
            "value": highest.brief.score,
            "params": dict(highest.brief.params),
        },
        "mattered": asdict(judgement.mattered),
        "folds": folds and asdict(folds),
        "models": [asdict(model) for model in retrained_models(study)],
        "space": study.definition.model_dump(mode="json")["space"],
    }
