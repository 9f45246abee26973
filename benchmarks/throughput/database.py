"""What a claim, a verdict and an idle worker cost beside the planner, in studies of many trials.

    python -m benchmarks.throughput.database 100 1000 3000 --out figures.jsonl

A study is filled with trials of 30 epochs, three in five complete and the others paused. A worker
then claims a trial and has a verdict on it, again and again, each time after four other workers
have stored an epoch. A study of as many complete trials, which has ended, is left to an idle
worker.

Seconds are the processors': those of the worker's process and those of all of PostgreSQL's. The
planner's own aren't among them: `FreezeThawSearch` is stood in for by one that answers at once. So
is all of its package but for the reading of trials.
"""

import argparse
import json
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import psutil
import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState
from sqlalchemy import text
from sqlalchemy.engine import URL

from benchmarks.throughput.own_server import own_server
from histsearch.database.storage import Storage
from histsearch.freeze_thaw.actions import Action
from histsearch.search.distributions import optuna_distributions
from histsearch.search.standing import Standing
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.claim import Claim
from histsearch.studies.queue import claim
from histsearch.studies.study import Study
from histsearch.workers.registry import Identity, sign_on
from histsearch.workers.search_run import SearchRun
from histsearch.workers.settings import WorkerSettings
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker

EPOCHS = 30
OTHERS = 4
MOST_TRIALS = 10_000
SPACE = {
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": EPOCHS,
    "trials": MOST_TRIALS,
    "search": {
        "tau": [8, 16, 32, 64],
        "alpha": [0.9, 1.0, 1.1],
        "lr": {"low": 1e-5, "high": 1e-2, "log": True},
        "batch_size": [8, 16, 32, 64],
        "weight_decay": {"low": 1e-6, "high": 1e-2, "log": True},
    },
}
CONFIGURATION = {"tau": 8, "alpha": 1.0, "lr": 1e-4, "batch_size": 16, "weight_decay": 1e-4}
INTERNAL = {"tau": 0, "alpha": 1, "lr": 1e-4, "batch_size": 1, "weight_decay": 1e-4}
ATTRIBUTES = {
    "seed": 1,
    "fold": 0,
    "best_epoch": 20,
    "worker": "gpu-machine-1:0",
    "device": "NVIDIA H200",
    "accelerated": True,
    "versions": {"histsearch": "0.1.0", "torch": "2.5.0", "python": "3.11.9", "optuna": "5.0.0"},
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "seconds": 123.456,
    "warmup_seconds": 1.2345,
    "epoch_seconds": [4.0123] * EPOCHS,
    "images_per_second": 1234.5,
    "peak_memory_mib": 4321,
}


class InstantSearch:
    """Stands in for the planner: a new trial, of always the same configuration."""

    def __init__(self, _: Any, epochs: int, trials: Sequence[Any] = (), **__: Any) -> None:
        self.views = trials
        self.planner = SimpleNamespace(fit=SimpleNamespace(epochs=epochs))
        self.has_epochs = True

    def refit(self) -> bool:
        return False

    def ask(self, **_: Any) -> Action:
        return Action(0, None)

    def ask_for_new(self, *_: Any, **__: Any) -> dict[str, Any]:
        return CONFIGURATION

    def winner(self, _: Any = None) -> dict[str, Any]:
        return CONFIGURATION


def fill(storage: Storage, name: str, trials: int, *, ended: bool) -> Study:
    """A study of so many trials, each of 30 epochs but for paused ones, which lack the last."""
    space = parse_space({**SPACE, "name": name}, source=name)
    study = create_search(storage, space, trials=trials if ended else MOST_TRIALS)
    with storage.begin() as connection:

        def run(statement: str, **parameters: Any) -> None:
            connection.execute(text(statement), {"study": study.id, **parameters})

        run(
            "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
            "SELECT number, :study, CAST(CASE WHEN :ended OR number % 5 < 3 THEN 'COMPLETE' "
            "ELSE 'WAITING' END AS trialstate), now(), now() "
            "FROM generate_series(0, :last) AS number",
            last=trials - 1,
            ended=ended,
        )
        for key, distribution in optuna_distributions(space).items():
            run(
                "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
                "SELECT trial_id, :key, :value, :written FROM trials WHERE study_id = :study",
                key=key,
                value=INTERNAL[key],
                written=distribution_to_json(distribution),
            )
        run(
            "INSERT INTO trial_intermediate_values "
            "(trial_id, step, intermediate_value, intermediate_value_type) "
            "SELECT trial_id, step, 0.5 + 0.01 * step - 0.0001 * (number % 97), 'FINITE' "
            "FROM trials, generate_series(1, :epochs) AS step WHERE study_id = :study "
            "AND (state = 'COMPLETE' OR step < :epochs)",
            epochs=EPOCHS,
        )
        run(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) SELECT trial_id, 0, "
            "0.8 - 0.0001 * (number % 97), 'FINITE' FROM trials "
            "WHERE study_id = :study AND state = 'COMPLETE'"
        )
        for key, value in {**ATTRIBUTES, "paused": True}.items():
            run(
                "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
                "SELECT trial_id, :key, :value FROM trials WHERE study_id = :study "
                "AND (state = 'WAITING' OR :key <> 'paused')",
                key=key,
                value=json.dumps(value),
            )
    with storage.optuna.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    return study


class Clock:
    """Seconds of this process, of PostgreSQL's processes, and of the wall."""

    def __init__(self, storage: Storage) -> None:
        with storage.begin() as connection:
            backend = connection.scalar(text("SELECT pg_backend_pid()"))
        self._postmaster = psutil.Process(backend).parent()

    def _now(self) -> tuple[float, float, float]:
        assert self._postmaster is not None
        times = [one.cpu_times() for one in (self._postmaster, *self._postmaster.children()) if one]
        theirs = sum(one.user + one.system for one in times)
        return time.process_time(), theirs, time.perf_counter()

    def time(self, work: Callable[[], object]) -> tuple[float, float, float]:
        """How long something takes."""
        before = self._now()
        work()
        worker, postgres, wall = (b - a for a, b in zip(before, self._now(), strict=True))
        return worker, postgres, wall


def report_epoch(claimed: Claim, epoch: int) -> None:
    claimed.record(
        {"seconds": 4.0 * epoch, "epoch_seconds": [4.0] * epoch}, {epoch: 0.5 + 0.01 * epoch}
    )


def judge(claimed: Claim, curve: dict[int, float], worker_id: int) -> None:
    """A verdict, as a run has it in its reporter's thread."""
    run = SearchRun.__new__(SearchRun)
    run.claim, run.study, run.finished = claimed, claimed.study, []
    run.judged = claimed.study.for_verdicts()
    run.left_after, run.left_because = None, ""
    run.context = SimpleNamespace(reporter=SimpleNamespace(worker_id=worker_id))  # type: ignore[assignment]
    run._judge(curve)
    assert run.left_after == max(curve)


def serve(study: Study, repeats: int) -> dict[str, Any]:
    """Claims and verdicts of one worker beside four others."""
    elsewhere = Storage(study.storage.url)
    workers = [
        sign_on(elsewhere, Identity(f"worker {n}", "localhost", n, "cpu", None), 10.0)
        for n in range(OTHERS + 1)
    ]
    me = workers.pop()
    clock = Clock(elsewhere)
    others = [found for one in workers if (found := claim(study, one)) is not None]
    fresh = find_study(Storage(study.storage.url), study.name)
    figures: dict[str, list[tuple[float, float, float]]] = {"first": [], "claim": [], "verdict": []}
    for repeat in range(repeats + 1):
        for other in others:
            report_epoch(other, 1 + repeat)
        claims: list[Claim | None] = []
        cost = clock.time(lambda: claims.append(claim(fresh, me)))  # noqa: B023 - called at once
        figures["claim" if repeat else "first"].append(cost)
        claimed = claims[0]
        assert claimed is not None
        curve = {epoch: 0.5 + 0.01 * epoch for epoch in range(1, 11)}
        claimed.record({"epoch_seconds": [4.0] * 10}, curve)
        for other in others:
            report_epoch(other, 2 + repeat)
        cost = clock.time(lambda: judge(claimed, curve, me))  # noqa: B023
        if repeat:
            figures["verdict"].append(cost)
        claimed.tell(TrialState.COMPLETE, max(curve.values()))
    return {name: milliseconds(costs) for name, costs in figures.items()}


def milliseconds(costs: list[tuple[float, float, float]]) -> dict[str, float]:
    """Means of processors' time, which is counted in steps of 10 ms; the median of the wall's."""
    workers, postgres, walls = zip(*costs, strict=True)
    return {
        "worker": round(1000 * statistics.mean(workers), 2),
        "postgres": round(1000 * statistics.mean(postgres), 2),
        "wall": round(1000 * statistics.median(walls), 2),
        "n": len(costs),
    }


class Stop(StopRequest):
    """Stops a worker that runs in a thread."""

    def now(self) -> None:
        self._requested = True


def idle(storage: Storage, seconds: float) -> dict[str, float]:
    """Percent of a core that an idle worker takes, and PostgreSQL for it."""
    stop = Stop()
    with tempfile.TemporaryDirectory() as folder:
        settings = WorkerSettings(
            identity=Identity("idle", "localhost", 1, "cpu", None),
            study_names=(),
            drain=False,
            data_dir=Path(folder),
            checkpoints=folder,
            checkpoint_every=1,
            heartbeat_seconds=30.0,
            patience_seconds=60.0,
            device="cpu",
            threads=1,
            loader_processes=0,
        )
        worker = threading.Thread(target=run_worker, args=(storage, settings, stop))
        worker.start()
        time.sleep(5.0)  # it starts
        mine, postgres, wall = Clock(storage).time(lambda: time.sleep(seconds))
        stop.now()
        worker.join()
    return {
        "worker": round(100 * mine / wall, 2),
        "postgres": round(100 * postgres / wall, 2),
        "seconds": seconds,
    }


def growth(figures: list[dict[str, Any]], what: str) -> float:
    """The exponent with which the processors' time grows from the fewest trials to the most."""
    costs = [one[what]["worker"] + one[what]["postgres"] for one in (figures[0], figures[-1])]
    trials = [figures[0]["trials"], figures[-1]["trials"]]
    return round(math.log(costs[1] / costs[0]) / math.log(trials[1] / trials[0]), 2)


def database(postgres: URL, name: str) -> URL:
    """A new database."""
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return postgres.set(database=name)


def measure(postgres: URL, trials: int, repeats: int, idle_seconds: float) -> dict[str, Any]:
    """The figures of a study of so many trials."""
    storage = Storage(database(postgres, f"open_{trials}"))
    study = fill(storage, "open", trials, ended=False)
    standing = Standing([CONFIGURATION], unseen={}, fold_effects=[])
    with (
        patch("histsearch.search.freeze_thaw_study.FreezeThawSearch", InstantSearch),
        patch.object(Standing, "of", lambda *_: standing),
    ):
        served = serve(study, repeats)
    storage.optuna.engine.dispose()
    storage = Storage(database(postgres, f"finished_{trials}"))
    assert fill(storage, "finished", trials, ended=True).is_finished
    return {"trials": trials, **served, "idle": idle(storage, idle_seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trials", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--idle-seconds", type=float, default=30.0)
    parser.add_argument("--out", type=Path, help="a file of JSON lines to add to")
    arguments = parser.parse_args()
    figures = []
    with own_server() as postgres:
        for trials in arguments.trials:
            repeats, seconds = arguments.repeats, arguments.idle_seconds
            figures.append(measure(postgres, trials, repeats, seconds))
            line = json.dumps(figures[-1])
            print(line, flush=True)
            if arguments.out:
                with arguments.out.open("a") as file:
                    file.write(line + "\n")
    for what in ("claim", "verdict") if len(figures) > 1 else ():
        print(what, "grows with the exponent", growth(figures, what))


if __name__ == "__main__":
    main()
