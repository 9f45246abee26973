import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import func, select

from histsearch.database.storage import Storage
from histsearch.studies.catalog import create_search
from histsearch.studies.study import Study
from histsearch.studies.trial_record import REASON, VERSIONS
from histsearch.studies.trial_rows import to_csv, to_json
from tests.integration.claims import claimed
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space

CURVE = {"1": 0.25, "2": 0.4, "10": 0.3}
VERSIONS_FOUND = {"torch": "2.4", "optuna": "5.0"}


@pytest.fixture
def study(storage: Storage) -> Study:
    """A trial that is complete, one that was pruned and one that waits."""
    study = create_search(storage, small_space())
    first = claimed(study)
    # Reported out of order, as a row has to show its curve in order all the same.
    for step in ("10", "1", "2"):
        first.record({}, {int(step): CURVE[step]})
    first.record({VERSIONS: VERSIONS_FOUND})
    first.tell(TrialState.COMPLETE, 0.4)
    pruned = claimed(study)
    pruned.record({REASON: 'under the median, "by far"'})
    pruned.tell(TrialState.PRUNED)
    study.enqueue(ENQUEUED)
    return study


def _parsed(study: Study) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(study))))


def test_csv_has_one_row_a_trial_under_real_parameter_names(study: Study) -> None:
    parsed = _parsed(study)
    assert [row["number"] for row in parsed] == ["0", "1", "2"]
    assert [row["state"] for row in parsed] == ["COMPLETE", "PRUNED", "WAITING"]
    assert [row["value"] for row in parsed] == ["0.4", "", ""]
    parameters = {name: parsed[0][f"params.{name}"] for name in ENQUEUED}
    assert parameters == {"alpha": "0.9", "lr": "0.0001", "batch_size": "16"}
    assert {row["params.alpha"] for row in parsed[2:]} == {""}


def test_csv_keeps_curves_attributes_and_quotes(study: Study) -> None:
    first, pruned, _ = _parsed(study)
    assert list(json.loads(first["curve"]).items()) == list(CURVE.items())
    assert json.loads(first[f"attrs.{VERSIONS}"]) == VERSIONS_FOUND
    assert pruned[f"attrs.{REASON}"] == 'under the median, "by far"'
    assert first["started"] <= first["ended"]


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def database_time(storage: Storage) -> datetime:
    with storage.begin() as connection:
        time: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return time


@pytest.mark.usefixtures("far_east")
def test_times_are_utc_and_span_all_attempts_at_a_trial(storage: Storage) -> None:
    before = database_time(storage)
    study = create_search(storage, small_space())
    claimed(study).give_back()
    between = database_time(storage)
    again = claimed(study)
    running = _parsed(study)[0]
    assert running["ended"] == ""
    again.record({}, {1: 0.5})
    again.tell(TrialState.COMPLETE, 0.5)
    after = database_time(storage)

    row = _parsed(study)[0]
    assert row["started"] == running["started"]
    started, ended = (datetime.fromisoformat(row[name]) for name in ("started", "ended"))
    assert started.utcoffset() == ended.utcoffset() == timedelta(0)
    a_millisecond = timedelta(milliseconds=1)  # is what times are cut to
    assert before - a_millisecond <= started <= between <= ended + a_millisecond
    assert ended <= after
    (trial,) = study.trials(TrialState.COMPLETE)
    assert trial.datetime_start is not None
    # Optuna's is the second attempt's.
    assert trial.datetime_start.astimezone(UTC) > started


@pytest.mark.usefixtures("far_east")
def test_a_trial_that_no_worker_ran_has_optunas_times_in_utc(storage: Storage) -> None:
    study = create_search(storage, small_space())
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    study.optuna_study.tell(study.optuna_study.ask(), 0.5)
    row = _parsed(study)[0]
    assert row["started"].endswith("+00:00")
    started, ended = (datetime.fromisoformat(row[name]) for name in ("started", "ended"))
    assert before <= started <= ended <= datetime.now(UTC)


def test_json_has_the_definition_and_every_trials_curve(study: Study) -> None:
    document: dict[str, Any] = json.loads(to_json(study))
    assert document["study"] == "small"
    assert document["definition"] == study.definition.model_dump(mode="json")
    assert document["definition"]["space"]["search"]["batch_size"] == [8, 16, 32]
    assert [trial["curve"] for trial in document["trials"]] == [CURVE, {}, {}]
    assert document["trials"][0]["params.lr"] == ENQUEUED["lr"]


def test_export_holds_the_trials_of_its_study_alone(storage: Storage) -> None:
    study = create_search(storage, small_space())
    complete_next(create_search(storage, small_space(), name="other"), 0.5)
    assert [row["state"] for row in _parsed(study)] == ["WAITING"]
