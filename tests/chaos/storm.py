"""A study searched while workers are killed or suspended and PostgreSQL comes and goes."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy
import torch
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL

from histsearch.data.dataset import load_dataset
from histsearch.database.embedded_postgres import server
from histsearch.database.storage import Storage
from histsearch.database.tables import attempts
from histsearch.space.reading import load_space
from histsearch.space.space import Space
from histsearch.space.strategies import MedianSettings, TPESettings
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.catalog import create_search, find_study
from histsearch.training.run_inputs import find_run_parts, run_settings, split_images
from histsearch.training.trainer import Trainer
from histsearch.workers import exit_codes
from histsearch.workers.provenance import COMMIT_VARIABLE
from tests.chaos.creations import Creations
from tests.integration.database.outage import silence

_GLANCE_SECONDS = 0.1
_LOST = (Ending.LOST, Ending.LOST_EARLY, Ending.STALLED)
_NO_DATA = Path()  # glyphs are rendered
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_NOTICE_SECONDS = 120.0

_FOLDER_VARIABLE = "STORM_FOLDER"

# The program, which is sooner sure that a process was suspended or that its work hangs. It hangs in
# the next batch once there is a file of its process's name.
_PROGRAM = f"""
import os, time
from functools import partialmethod
from pathlib import Path

from histsearch.cli.main import main
from histsearch.training.trainer import Trainer
from histsearch.workers import process_suspension
from histsearch.workers.progress_watch import WatchTimes

process_suspension.LEAST_SECONDS = 1.0
WatchTimes.__init__ = partialmethod(WatchTimes.__init__, least=8.0)
train_batch = Trainer._train_batch

def train_batch_or_hang(*arguments):
    while (Path(os.environ["{_FOLDER_VARIABLE}"]) / f"hang-{{os.getpid()}}").exists():
        time.sleep(1)
    return train_batch(*arguments)

Trainer._train_batch = train_batch_or_hang
main()
"""


def storm_space(trials: int, epochs: int) -> Space:
    """The demo's space, whose trials a worker may die over as often as it likes."""
    demo = load_space("demo")
    return demo.model_copy(
        update={
            "name": "storm",
            "trials": trials,
            # They pause no trial, so that each attempt but the last is damage.
            "sampler": TPESettings(),
            "pruner": MedianSettings(),
            "decided": None,
            "epochs": epochs,
            "max_retries": 1000,
            "protocol": demo.protocol.model_copy(update={"validation_fraction": 0.5}),
        }
    )


@dataclass(frozen=True)
class Weather:
    """What the storm does.

    Attributes:
        workers: Worker processes, each started anew when it was killed.
        kill_every: Seconds between two kills, or more until an epoch was trained between them.
        patience: Epochs after which the next thing happens even before its time, so that on a fast
            machine the study doesn't end before the weather came.
        kills_between: Kills between two of the other things that happen.
        suspensions: How often a worker is stopped for a while, each time before some kills.
        suspension: For how many seconds.
        hangs: How often a run hangs, each time before some kills.
        creations: How many processes are killed over the creation of studies.
        restarts: How often PostgreSQL is stopped and started again at once.
        outage: Seconds for which it is stopped once.
        freeze: Seconds for which it holds its connections once and says nothing.
        truncate: Whether the newest checkpoint of a killed worker's trial is cut short once.
        heartbeat: Seconds between two heartbeats of a worker.
        limit: Seconds after which the study must be finished.
        seed: Of everything random in the storm.
    """

    workers: int
    kill_every: float
    patience: int
    kills_between: int
    suspensions: int
    suspension: float
    hangs: int
    creations: int
    restarts: int
    outage: float
    freeze: float
    truncate: bool
    heartbeat: float
    limit: float
    seed: int = 0


@dataclass
class Damage:
    """What the storm did, and what came of it."""

    kills: int = 0
    suspensions: int = 0
    hangs: int = 0
    creations_killed: int = 0
    restarts: int = 0
    outages: int = 0
    freezes: int = 0
    truncated: int = 0
    takeovers: int = 0
    copies_dropped: int = 0
    resumed: int = 0
    epochs: int = 0
    epochs_repeated: int = 0
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{name.replace('_', ' '):<16} {value:.0f}"
            if isinstance(value, float)
            else f"{name.replace('_', ' '):<16} {value}"
            for name, value in vars(self).items()
            if name != "faults"
        ]
        return "\n".join([*lines, *(f"FAULT: {fault}" for fault in self.faults)])


class Storm:
    """One study in bad weather.

    Args:
        space: What is searched.
        weather: What happens meanwhile.
        database: The study's PostgreSQL, the embedded one of this process's home.
        folder: For checkpoints and logs.
    """

    def __init__(self, space: Space, weather: Weather, database: URL, folder: Path) -> None:
        self.space = space
        self.weather = weather
        self.database = database
        self.folder = folder
        self.damage = Damage()
        self._random = random.Random(weather.seed)  # noqa: S311 - chooses victims
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._logs: list[Path] = []
        self._log_of: dict[int, Path] = {}
        # What happens to a worker, before the kills of a round.
        self._troubles: list[Callable[[], bool]] = [self._suspend] * weather.suspensions
        self._troubles += [self._hang] * weather.hangs
        self._hung_trials: set[int] = set()
        self._others: list[Callable[[], bool]] = [self._restart] * weather.restarts
        self._others += [self._outage] if weather.outage else []
        self._others += [self._freeze] if weather.freeze else []
        self._others += [self._truncate] if weather.truncate else []
        # Loss and score of each trial's epochs, whichever attempt logged them.
        self._seen: dict[tuple[int, int], set[tuple[float, float]]] = defaultdict(set)

    def blow(self) -> Damage:
        """Search the study to its end, and check everything that must hold then."""
        create_search(Storage(self.database), self.space)
        creations = Creations(self.database, self.weather.seed)
        started = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            killed = pool.submit(creations.kill, self.weather.creations)
            try:
                self._search()
            finally:
                for worker in self._workers.values():
                    worker.kill()
                    worker.wait()
            self.damage.creations_killed = killed.result()
        self.damage.seconds = time.monotonic() - started
        self.damage.faults += creations.faults()
        self._read_logs()
        self._check_trials()
        return self.damage

    def _search(self) -> None:
        deadline = time.monotonic() + self.weather.limit
        events = self._events()
        due, action = next(events)
        epochs = 0
        while True:
            self._tend_workers()
            if not self._workers:
                return
            if time.monotonic() > deadline:
                self.damage.faults.append(f"not finished after {self.weather.limit} s")
                return
            # A worker that has drained says that the study is finished.
            since = self._epochs_logged() - epochs
            if (
                since > 0
                and (since >= self.weather.patience or time.monotonic() >= due)
                and len(self._workers) == self.weather.workers
                and action()
            ):
                due, action = next(events)
                epochs += since
            time.sleep(_GLANCE_SECONDS)

    def _tend_workers(self) -> None:
        """Start what was killed; a worker that ended by itself has drained."""
        ended = {
            place: worker for place, worker in self._workers.items() if worker.poll() is not None
        }
        for place, worker in ended.items():
            del self._workers[place]
            if worker.returncode in (-signal.SIGKILL, exit_codes.STALLED):
                self._start_worker(place)
            elif worker.returncode != 0:
                self.damage.faults.append(f"a worker ended with {worker.returncode}")
        if not self._logs:
            for place in range(self.weather.workers):
                self._start_worker(place)

    def _start_worker(self, place: int) -> None:
        log = self.folder / f"worker-{len(self._logs):03d}.log"
        self._logs.append(log)
        with log.open("wb") as stderr:
            self._workers[place] = subprocess.Popen(
                [
                    *(sys.executable, "-c", _PROGRAM, "worker", "--device", "cpu", "--drain"),
                    f"--study={self.space.name}",
                    f"--checkpoints={self.folder / 'checkpoints'}",
                    f"--heartbeat={self.weather.heartbeat}",
                    "--log-format=json",
                ],
                env={
                    **os.environ,
                    "HISTSEARCH_STORAGE": self.database.render_as_string(hide_password=False),
                    "OMP_NUM_THREADS": "1",
                    # A state isn't gone on from by other software, as a checkout is that's edited.
                    COMMIT_VARIABLE: "storm",
                    _FOLDER_VARIABLE: str(self.folder),
                },
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        self._log_of[self._workers[place].pid] = log

    def _events(self) -> Iterator[tuple[float, Callable[[], bool]]]:
        """Times and actions: kills at their interval, now and then something else instead.

        An action that can't be done yet, and says so, is tried again.
        """
        self._random.shuffle(self._troubles)
        self._random.shuffle(self._others)
        while True:
            if self._troubles:
                yield time.monotonic() + self.weather.kill_every, self._troubles.pop()
            for _ in range(self.weather.kills_between):
                yield time.monotonic() + self.weather.kill_every, self._kill
            if self._others:
                yield time.monotonic() + self.weather.kill_every, self._others.pop()

    def _kill(self) -> bool:
        """Kill any worker that has logged a line; on a busy machine that takes a while."""
        awake = [one for one in self._workers.values() if self._log_of[one.pid].stat().st_size]
        if awake:
            worker = self._random.choice(sorted(awake, key=lambda one: one.pid))
            worker.kill()
            worker.wait()
            self.damage.kills += 1
        return bool(awake)

    def _suspend(self) -> bool:
        """Stop a worker that runs a trial for longer than its grace; it says for how long."""
        worker = self._in_a_trial()
        if worker is None:
            return False
        worker.send_signal(signal.SIGSTOP)
        time.sleep(self.weather.suspension)
        worker.send_signal(signal.SIGCONT)
        self.damage.suspensions += 1
        log = self._log_of[worker.pid]
        if not _comes_true(lambda: "not charged" in log.read_text(errors="replace")):
            self.damage.faults.append("a worker didn't notice that it was suspended")
        return True

    def _hang(self) -> bool:
        """Let a run hang, for the first time in its trial; its worker ends by itself."""
        worker = self._in_a_trial()
        trial = None if worker is None else self._running_trial(worker.pid)
        if worker is None or trial is None or trial in self._hung_trials:
            return False
        (self.folder / f"hang-{worker.pid}").touch()
        if not _comes_true(lambda: worker.poll() is not None):
            self.damage.faults.append("a worker didn't notice that its run hangs")
        elif worker.returncode != exit_codes.STALLED:  # it had drained
            return False
        self._hung_trials.add(trial)
        self.damage.hangs += 1
        return True

    def _in_a_trial(self) -> subprocess.Popen[bytes] | None:
        """Any worker that runs a trial."""
        running = [
            worker
            for _, worker in sorted(self._workers.items())
            if self._running_trial(worker.pid) is not None
        ]
        return self._random.choice(running) if running else None

    def _truncate(self) -> bool:
        """Kill a worker whose trial has two saved states, and cut the newer one short."""
        for _, worker in sorted(self._workers.items()):
            running = self._running_trial(worker.pid)
            states = sorted(
                (self.folder / "checkpoints").glob(f"{self.space.name}-*/{running}.run/*/*.ckpt"),
                key=lambda path: path.stat().st_mtime_ns,
            )
            if len(states) < 2:
                continue
            worker.kill()
            worker.wait()
            self.damage.kills += 1
            content = states[-1].read_bytes()
            states[-1].write_bytes(content[: len(content) // 2])
            self.damage.truncated += 1
            return True
        return False

    def _running_trial(self, process_id: int) -> int | None:
        lines = _lines(self._log_of[process_id])
        mine = [line for line in lines if line.get("event") and "trial" in line]
        if not mine or mine[-1]["event"] == "ended":
            return None
        return int(mine[-1]["trial"])

    def _restart(self) -> bool:
        server.stop()
        server.start()
        self.damage.restarts += 1
        return True

    def _outage(self) -> bool:
        server.stop()
        time.sleep(self.weather.outage)
        server.start()
        self.damage.outages += 1
        return True

    def _freeze(self) -> bool:
        with silence():
            time.sleep(self.weather.freeze)
        self.damage.freezes += 1
        return True

    def _epochs_logged(self) -> int:
        return sum(line.get("event") == "epoch" for path in self._logs for line in _lines(path))

    def _read_logs(self) -> None:
        epochs: Counter[tuple[int, int]] = Counter()
        for path in self._logs:
            text = path.read_text(errors="replace")
            if "Traceback" in text:
                self.damage.faults.append(f"a traceback in {path}")
            for line in _lines(path):
                event = line.get("event")
                self.damage.takeovers += event == "taken over"
                self.damage.resumed += event == "resumed"
                self.damage.copies_dropped += line.get("outcome") == "lost"
                if event == "epoch":
                    key = (line["trial"], line["epoch_number"])
                    epochs[key] += 1
                    self._seen[key].add((line["epoch_loss"], line["epoch_score"]))
        self.damage.epochs = sum(epochs.values())
        self.damage.epochs_repeated = sum(count - 1 for count in epochs.values())
        # The truncated state costs its trial one epoch more.
        troubles = self.damage.kills + self.damage.suspensions + self.damage.hangs
        most = troubles + self.damage.truncated
        # One that was merely slow may be taken for dead now and then, which harms nothing.
        if self.damage.takeovers > troubles + self.weather.workers:
            self.damage.faults.append("many more takeovers than kills and the like")
        if self.damage.epochs_repeated > most:
            self.damage.faults.append(f"more than {most} epochs repeated")

    def _check_trials(self) -> None:
        study = find_study(Storage(self.database), self.space.name)
        trials = study.trials()
        self.damage.states = dict(Counter(trial.state.name for trial in trials))
        if [trial.number for trial in trials] != list(range(self.space.trials)):
            self.damage.faults.append(f"trials {[trial.number for trial in trials]}")
        if any(trial.state not in _FINISHED for trial in trials):
            self.damage.faults.append(f"unfinished or failed trials: {self.damage.states}")
        self._check_attempts(trials)
        self._check_curves([trial for trial in trials if trial.state in _FINISHED])

    def _check_attempts(self, trials: list[FrozenTrial]) -> None:
        engine = sqlalchemy.create_engine(self.database, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            query = sqlalchemy.select(attempts).order_by(attempts.c.number)
            rows = connection.execute(query).all()
        for trial in trials:
            mine = [row for row in rows if row.trial_id == trial._trial_id]
            endings = [row.ending for row in mine]
            results = [ending for ending in endings if ending in ("complete", "pruned")]
            told = [trial.state.name.lower()]
            lost = sum(endings.count(one) for one in _LOST)
            linked = len(trial.user_attrs.get(trial_record.RETRIES, []))
            if [row.number for row in mine] != list(range(1, len(mine) + 1)):
                self.damage.faults.append(f"attempts of #{trial.number} aren't linked")
            if results != told or endings[-1:] != told:
                self.damage.faults.append(f"#{trial.number} {told}, its attempts: {endings}")
            if lost != linked:
                self.damage.faults.append(f"#{trial.number}: {lost} lost, {linked} linked")

    def _check_curves(self, trials: list[FrozenTrial]) -> None:
        """Train each configuration again, undisturbed, as far as its trial came."""
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
            curves = pool.map(
                _undisturbed,
                [self.space] * len(trials),
                [trial.params for trial in trials],
                [trial.user_attrs[trial_record.SEED] for trial in trials],
                [len(trial.intermediate_values) for trial in trials],
            )
            for trial, curve in zip(trials, curves, strict=True):
                self._check_curve(trial, curve)

    def _check_curve(self, trial: FrozenTrial, curve: list[tuple[float, float]]) -> None:
        if [score for _, score in curve] != list(trial.intermediate_values.values()):
            self.damage.faults.append(f"the curve of #{trial.number} isn't the undisturbed one")
        if trial.state == TrialState.COMPLETE and len(curve) != self.space.epochs:
            self.damage.faults.append(f"#{trial.number} is complete after {len(curve)} epochs")
        for number, undisturbed in enumerate(curve, start=1):
            seen = self._seen[trial.number, number]
            if seen != {undisturbed}:
                self.damage.faults.append(
                    f"#{trial.number}, epoch {number}: {seen}, undisturbed {undisturbed}"
                )


def _undisturbed(
    space: Space, params: dict[str, Any], seed: int, epochs: int
) -> list[tuple[float, float]]:
    """Loss and validation score of each epoch of a run that nothing happens to."""
    torch.set_num_threads(1)
    train, validation, gallery = split_images(load_dataset(space.dataset, _NO_DATA), space.protocol)
    settings = run_settings(space, params, find_run_parts(space, _NO_DATA), seed=seed)
    trainer = Trainer(settings, train, device=torch.device("cpu"))
    curve = []
    for epoch in islice(trainer.epochs(validation, gallery), epochs):
        assert epoch.score is not None
        curve.append((epoch.loss, epoch.score))
    return curve


def _comes_true(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds before long."""
    deadline = time.monotonic() + _NOTICE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_GLANCE_SECONDS)
    return True


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON lines of a log; a worker may have been killed over its last one."""
    for line in path.read_text(errors="replace").splitlines():
        try:
            parsed = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(parsed, dict):
            yield parsed
