"""A baseline is trained with its own values, whatever the search holds."""

from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.models.checkpoint import load_checkpoint
from histsearch.reports.collect import build_report
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from histsearch.studies.trial_record import CHECKPOINT, EPOCH_SECONDS
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.workers.test_worker import settings


def test_a_baseline_outside_the_search_is_trained_as_it_says(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    authors = {"name": "authors", "tau": 24.5, "batch_size": 12, "lr": 0.002, "epochs": 2}
    table = stripes | {"trials": 1, "baseline": [authors], "enqueue": [{"tau": 8}]}
    search = create_search(storage, parse_space(table, source="test"))
    run_worker(storage, settings(data_dir), StopRequest())
    retraining = create_retraining(search, seeds=1, baselines=["authors"])
    run_worker(storage, settings(data_dir), StopRequest())

    tuned, trained = retraining.trials(TrialState.COMPLETE)
    assert tuned.params["lr"] == 0.003
    assert len(trained.user_attrs[EPOCH_SECONDS]) == 2
    own = {"tau": 24.5, "batch_size": 12, "lr": 0.002, "lambda_s": 1.0, "lr_hgnn": 0.003}
    model = load_checkpoint(Path(trained.user_attrs[CHECKPOINT]))
    assert model.metadata["hyperparameters"].items() >= own.items()
    assert (
        load_checkpoint(Path(tuned.user_attrs[CHECKPOINT])).metadata["hyperparameters"]["lr"]
        == 0.003
    )
    report = build_report(storage, "stripes")
    assert [one.label for one in report.retrained] == ["tuned #0", "baseline authors"]
    (comparison,) = report.comparisons
    assert comparison.verdict == "too few seeds"
