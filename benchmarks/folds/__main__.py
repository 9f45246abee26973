"""Whether a search that validates on four folds finds better configurations than one on one fold.

    python -m benchmarks.folds --data-dir ~/data --out benchmarks/folds/results.jsonl

The images lie in DATA_DIR/omniglot, one folder a character, as in docs/omniglot.md. Each repeat has
characters of its own out of the training half. Both ways of validation search the space
``omniglot-conv4`` with as many epochs as 12 full runs have; their winners are then retrained on all
characters of the repeat, as `histsearch retrain` does, and tested on characters of the test half.

Each epoch of a run is trained once, when a search first asks for it, and kept: the other search
replays it. Every line is written as soon as it is known, and started again, the program goes on
with what the file lacks. Its summary ends the program.
"""

import argparse
import json
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.folds.summary import summary
from histsearch.data.dataset import Dataset
from histsearch.data.hold_out import HoldOut
from histsearch.data.image_set import ImageSet
from histsearch.freeze_thaw.search import FreezeThawSearch, draw_seed
from histsearch.freeze_thaw.training_length import plateau_end
from histsearch.freeze_thaw.trials import Configuration, Trial
from histsearch.retrieval.known_metrics import USUAL_OBJECTIVE
from histsearch.search.distributions import optuna_distributions
from histsearch.search.freeze_thaw_parameters import space_of
from histsearch.space.reading import load_space
from histsearch.studies.folds import next_fold
from histsearch.training.run_inputs import find_run_parts, load_images, run_settings
from histsearch.training.trainer import Epoch, Trainer

SPACE = "omniglot-conv4"
FOLDS = 4
FULL_RUNS = 12
CHARACTERS = 48  # that a repeat trains and validates on
TEST_CHARACTERS = 200
PERCENT = 100.0

Line = dict[str, Any]


class TrainedEpoch(NamedTuple):
    """An epoch of a run.

    Attributes:
        recall: R@1 in percent after it.
        seconds: CPU seconds it took, with what came before it for the first one.
    """

    recall: float
    seconds: float


class Lines:
    """The file of results, a JSON line each, found again by what each says it is of."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # the last line was cut short
            path.write_text(whole)
        self._known: dict[str, Line] = {}
        for line in whole.splitlines():
            entry = json.loads(line)
            self._known[json.dumps(entry["of"], sort_keys=True)] = entry

    def find(self, of: Line) -> Line | None:
        return self._known.get(json.dumps(of, sort_keys=True))

    def add(self, of: Line, **found: Any) -> Line:
        entry = {"of": of, **found}
        self._known[json.dumps(of, sort_keys=True)] = entry
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        return entry

    def all(self) -> list[Line]:
        return list(self._known.values())


class Repeat:
    """One repeat: its characters, its runs, its searches."""

    def __init__(self, number: int, dataset: Dataset, data_dir: Path, lines: Lines) -> None:
        self.number = number
        self._lines = lines
        self._space = load_space(SPACE)
        self._parts = find_run_parts(self._space, data_dir)
        order = np.random.default_rng(0).permutation(dataset.train.num_classes)
        block = order[number * CHARACTERS : (number + 1) * CHARACTERS].tolist()
        if len(block) < CHARACTERS:
            raise SystemExit(f"found too few training characters for repeat {number}")
        self._train = dataset.train.of_classes(sorted(block))
        drawn = np.random.default_rng(1).permutation(dataset.test.num_classes)[:TEST_CHARACTERS]
        self._test = dataset.test.of_classes(sorted(drawn.tolist()))
        self._hold_out = HoldOut(1 / FOLDS, seed=number, folds=FOLDS)
        self._running: dict[str, tuple[Trainer, Iterator[Epoch]]] = {}

    @property
    def usual(self) -> Configuration:
        """The configuration to beat."""
        return dict(self._space.enqueue[0])

    def epoch(self, params: Configuration, fold: int, seed: int, epoch: int) -> TrainedEpoch:
        """An epoch of a run of a search, from 1 on, trained unless it is known."""
        of = {"run": self.number, "params": params, "fold": fold, "seed": seed}
        line = self._lines.find({**of, "epoch": epoch})
        while line is None:  # a run that an earlier process began is trained from its start
            line = self._train_epoch(of, epoch)
        return TrainedEpoch(line["recall"], line["seconds"])

    def _train_epoch(self, of: Line, wanted: int) -> Line | None:
        """Train one more epoch of a run; its line if it is the one that is wanted."""
        key = json.dumps(of, sort_keys=True)
        if key not in self._running:
            train, validation = self._hold_out.split(self._train, of["fold"])
            trainer = self._trainer(of["params"], train, of, self._space.epochs)
            self._running[key] = trainer, trainer.epochs(validation)
        trainer, epochs = self._running[key]
        trained = next(epochs)
        if trained.number != wanted:
            return None
        first = trainer.warmup_seconds if wanted == 1 else 0.0
        return self._lines.add(
            {**of, "epoch": wanted},
            recall=round(PERCENT * (trained.score or 0.0), 3),
            seconds=round(first + trained.seconds, 3),
        )

    def test(self, params: Configuration, epochs: int, seed: int) -> float:
        """R@1 in percent on the test characters after a training on all of the repeat's."""
        of = {"test": self.number, "params": params, "epochs": epochs, "seed": seed}
        line = self._lines.find(of)
        if line is None:
            trainer = self._trainer(params, self._train, of, epochs)
            started = time.process_time()
            for _ in trainer.epochs():
                pass
            recall = PERCENT * trainer.measure([USUAL_OBJECTIVE], self._test)[USUAL_OBJECTIVE.name]
            seconds = time.process_time() - started
            line = self._lines.add(of, recall=round(recall, 3), seconds=round(seconds, 3))
        return float(line["recall"])

    def _trainer(self, params: Configuration, images: ImageSet, of: Line, epochs: int) -> Trainer:
        seed = zlib.crc32(json.dumps(of, sort_keys=True).encode())
        settings = run_settings(self._space, params, self._parts, seed=seed, epochs=epochs)
        return Trainer(settings, images, device=torch.device("cpu"), clock=time.process_time)

    def search(self, folds: int, seed: int) -> Line:
        """The winner of a search with so many folds, and for how long it is best trained."""
        of = {"search": self.number, "folds": folds, "seed": seed}
        return self._lines.find(of) or self._lines.add(of, **self._search(folds, seed))

    def _search(self, folds: int, seed: int) -> Line:
        epochs = self._space.epochs
        space = space_of(optuna_distributions(self._space))
        search = FreezeThawSearch(space, epochs, draw=draw_seed(seed, 0, 0), folds=folds)
        trials = [Trial(self.usual)]  # as the space enqueues it
        seeds = [0]
        current, winner = 0, None
        for spent in range(1, FULL_RUNS * epochs + 1):
            trials[current] = self._one_more_epoch(trials[current], seeds[current])
            search.observe(trials, draw_seed(seed, len(trials), spent))
            search.refit()
            winner = search.winner(winner)
            at_hand = current if trials[current].resumable else None
            action = search.ask(current=at_hand)
            if action is None:
                break
            if action.trial is not None:
                current = action.trial
                continue
            params = search.candidates.configurations[action.configuration]
            its_own = [one.fold for one in trials if one.configuration == params]
            fold = next_fold(its_own, [one.fold for one in trials], folds)
            current = len(trials)
            trials.append(Trial(params, fold=fold))
            seeds.append(its_own.count(fold))
        assert winner is not None
        row = search.candidates.row(winner)
        assert row is not None
        posterior = search.planner.posterior(search.views)
        return {
            "winner": winner,
            "expected": round(float(posterior.mean_G[row]), 3),
            "length": plateau_end(*posterior.curve(row)),
            "trials": [[one.configuration, one.fold, len(one.recalls)] for one in trials],
        }

    def _one_more_epoch(self, trial: Trial, seed: int) -> Trial:
        number = len(trial.recalls) + 1
        epoch = self.epoch(trial.configuration, trial.fold, seed, number)
        return trial._replace(
            recalls=(*trial.recalls, epoch.recall),
            seconds=(*trial.seconds, epoch.seconds),
            resumable=number < self._space.epochs,
        )


def _repeats(options: argparse.Namespace, lines: Lines) -> Iterator[Repeat]:
    dataset = load_images(load_space(SPACE), options.data_dir, 0)
    for number in range(options.repeats):
        yield Repeat(number, dataset, options.data_dir, lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--searches", type=int, default=1, help="of each kind a repeat")
    parser.add_argument("--seeds", type=int, default=3, help="of each winner's retraining")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lines = Lines(options.out)
    for repeat in _repeats(options, lines):
        chosen = []
        for seed in range(options.searches):
            for folds in (1, FOLDS):
                found = repeat.search(folds, seed)
                chosen.append((found["winner"], found["length"]))
        for params, length in chosen:
            for seed in range(options.seeds):
                repeat.test(params, length, seed)
        print(summary(lines.all()), flush=True)


if __name__ == "__main__":
    main()
