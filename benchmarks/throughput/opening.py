"""How long processes take that open a storage at once and claim a trial each.

    python -m benchmarks.throughput.opening 64

They wait for one another once they have imported everything. The database is empty the first time,
and has its tables the second time.
"""

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from queue import Queue

from sqlalchemy.engine import URL

from benchmarks.throughput.own_server import own_server
from histsearch.database.storage import Storage
from histsearch.exceptions import HistsearchError
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.queue import claim
from histsearch.workers.registry import Identity, sign_on

_PROCESSES = multiprocessing.get_context("fork")
_SPACE = {
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": 10,
    "sampler": "random",
    "search": {"lr": {"low": 1e-5, "high": 1e-2, "log": True}, "tau": [8, 16, 32]},
}


def _open(url: URL) -> None:
    Storage(url)


def _open_and_claim(url: URL) -> None:
    storage = Storage(url)
    worker_id = sign_on(storage, Identity("opener", "here", 1, "a processor", None), 1000)
    assert claim(find_study(storage, "opened"), worker_id) is not None


def _run(barrier: Barrier, told: "Queue[str]", url: URL, *, claims: bool) -> None:
    barrier.wait()
    try:
        (_open_and_claim if claims else _open)(url)
    except HistsearchError as error:
        told.put(str(error))
    else:
        told.put("")


def _measure(url: URL, processes: int, *, claims: bool) -> tuple[float, Sequence[str]]:
    """Seconds that all of them take, and what was refused."""
    barrier, told = _PROCESSES.Barrier(processes + 1), _PROCESSES.Queue()
    arguments = (barrier, told, url)
    started = [
        _PROCESSES.Process(target=_run, args=arguments, kwargs={"claims": claims})
        for _ in range(processes)
    ]
    for one in started:
        one.start()
    barrier.wait()
    began = time.perf_counter()
    answers = [told.get() for _ in started]
    seconds = time.perf_counter() - began
    for one in started:
        one.join()
    return seconds, [answer for answer in answers if answer]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("processes", type=int)
    processes = parser.parse_args().processes
    with own_server() as url:
        for claims, what in ((False, "an empty database"), (True, "one with a study")):
            if claims:
                space = {**_SPACE, "name": "opened", "trials": processes}
                create_search(Storage(url), parse_space(space, source="here"))
            seconds, refused = _measure(url, processes, claims=claims)
            print(
                f"{processes} processes, {what}: {seconds:.1f} s, {len(refused)} refused",
                *refused[:3],
                flush=True,
            )


if __name__ == "__main__":
    main()
