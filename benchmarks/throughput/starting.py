"""What commands and a worker cost before they do anything, beside the import of torch.

    python -m benchmarks.throughput.starting

Processors' seconds of whole processes and of those that they start, medians. The worker trains one
trial of one epoch, of a few small images, on a database that is up; a bare script that makes an
optimizer of torch stands beside it, as torch imports its compiler for that.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.throughput.slow_line import SPACE, draw
from histsearch.database.embedded_postgres import server
from histsearch.database.storage import Storage
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search

_TORCH = "import torch"
_OPTIMIZER = "import torch; torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])"
_CASES: Mapping[str, Sequence[str]] = {
    "`import torch`": ("-c", _TORCH),
    "`import torch`, an optimizer": ("-c", _OPTIMIZER),
    "`db status`": ("-m", "histsearch", "db", "status"),
    "`study list`": ("-m", "histsearch", "study", "list"),
    "`study show`": ("-m", "histsearch", "study", "show", "small-0"),
    "`status`": ("-m", "histsearch", "status"),
    "`worker` with a trial of one epoch": ("-m", "histsearch", "worker", "--device", "cpu"),
}
_WORKER = list(_CASES)[-1]


def _seconds(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """Processors' seconds of a process and of its children."""
    before = os.times()
    subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = os.times()
    return (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )


def _study(storage: Storage, number: int) -> str:
    """A new study of one trial of one epoch."""
    space = {**SPACE, "name": f"small-{number}", "epochs": 1, "trials": 1, "sampler": "random"}
    fixed = {**SPACE["fixed"], "warmup_epochs": 0}
    create_search(storage, parse_space({**space, "fixed": fixed}, source="benchmark"))
    return f"small-{number}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {case: [] for case in _CASES}
    with tempfile.TemporaryDirectory(prefix="histsearch-", ignore_cleanup_errors=True) as home:
        folder = Path(home)
        folder.chmod(0o711)  # the server may run as another user
        draw(folder / "data" / "small")
        environment = {
            "HISTSEARCH_HOME": home,
            "HISTSEARCH_IMAGE_CACHE": str(folder / "images"),
            "OMP_NUM_THREADS": "1",
        }
        os.environ["HISTSEARCH_HOME"] = home
        storage = Storage(server.start())
        try:
            for number in range(rounds):
                name = _study(storage, number)
                for case, arguments in _CASES.items():
                    ends = ("--drain", "--study", name) if case == _WORKER else ()
                    seconds[case].append(_seconds((*arguments, *ends), environment))
        finally:
            server.stop()
    bare = median(seconds["`import torch`"])
    print(f"| n = {rounds} | processors' seconds | times `import torch` |")
    print("| --- | --: | --: |")
    for case, found in seconds.items():
        print(f"| {case} | {median(found):.2f} | {median(found) / bare:.2f} |")


if __name__ == "__main__":
    main()
