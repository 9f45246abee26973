"""How long commands take beyond their imports, by the number of trials.

    python -m benchmarks.throughput.commands 1000 3000

It starts a PostgreSQL of its own, fills studies and asks each command once, after it has asked the
same of a study of one trial. A worker trains a trial, so that the time left is worked out.
"""

import argparse
import time

from sqlalchemy.engine import URL
from typer.testing import CliRunner

from benchmarks.throughput.filled_study import filled_study
from benchmarks.throughput.own_server import own_server
from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.search.standing import Standing
from histsearch.studies.standing import noted_standing
from histsearch.studies.study import Study
from histsearch.workers.registry import Activity, Identity, beat, sign_on

_COMMANDS = {
    "study list": ("study", "list"),
    "study show": ("study", "show", "big"),
    "study best": ("study", "best", "big"),
    "study trials": ("study", "trials", "big"),
    "study trials --top": ("study", "trials", "big", "--top", "10"),
    "status": ("status",),
    "study delete": ("study", "delete", "big", "--yes"),
}


def _stand(study: Study) -> None:
    """Store how the study stands, as a worker does that claims a trial."""
    first = study.trials()[0].params
    with study.storage.lock(study.id) as connection:
        connection.execute(noted_standing(study.id, Standing([first], {}, [0.0])))


def _train(storage: Storage) -> None:
    """Register a worker that trains a trial of the study."""
    identity = Identity("trainer", "here", 1, "a GPU", "0")
    worker = sign_on(storage, identity, heartbeat_seconds=600)
    beat(storage, worker, Activity("training", "big", 0, 1, 30), None)


def _seconds(url: URL, command: tuple[str, ...]) -> float:
    began = time.perf_counter()
    storage = url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, [*command, "--storage", storage], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return time.perf_counter() - began


def _measure(url: URL, trials: int, folds: int) -> dict[str, float]:
    storage = Storage(url)
    changes = {"protocol": {"folds": folds}} if folds > 1 else {}
    _stand(filled_study(storage, "big", trials, changes=changes))
    _train(storage)
    storage.optuna.engine.dispose()
    return {name: _seconds(url, command) for name, command in _COMMANDS.items()}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="+", type=int)
    parser.add_argument("--folds", type=int, default=1)
    given = parser.parse_args()
    with own_server() as url:
        _measure(url, 1, given.folds)
        print("| trials | " + " | ".join(_COMMANDS) + " |")
        print("| --- " * (1 + len(_COMMANDS)) + "|")
        for trials in given.trials:
            measured = _measure(url, trials, given.folds)
            figures = " | ".join(f"{seconds:.2f} s" for seconds in measured.values())
            print(f"| {trials:,} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
