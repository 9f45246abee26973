"""What trials on one of several slots of a device are charged, and what they say of their pace."""

import json
import logging
import os
import select
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from histsearch.database.storage import Storage
from histsearch.space.reading import parse_space
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from histsearch.workers.registry import Identity
from histsearch.workers.slots import Slot, SlotPaces
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.workers.test_worker import WAIT_SECONDS, settings


class Epochs(logging.Handler):
    """Keeps the log's records of epochs."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.records: list[Any] = []
        self.stop = StopRequest()
        self._stop_after = stop_after

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", "") == "epoch":
            self.records.append(record)
            if len(self.records) == self._stop_after:
                self.stop._requested = True

    @property
    def seconds(self) -> list[float]:
        return [record.epoch_seconds for record in self.records]

    @property
    def images_per_second(self) -> list[float]:
        return [record.epoch_images_per_second for record in self.records]


def work(
    storage: Storage,
    data_dir: Path,
    *,
    slots: int = 1,
    slot: Slot | None = None,
    stop_after: int | None = None,
) -> Epochs:
    """Run a worker until nothing is left, or for so many epochs; what its log says of these."""
    identity = Identity("tester", "localhost", 1, "a processor", None, slots)
    epochs = Epochs(stop_after)
    log = logging.getLogger("histsearch")
    level = log.level
    log.addHandler(epochs)
    log.setLevel("INFO")
    try:
        run_worker(storage, replace(settings(data_dir), identity=identity, slot=slot), epochs.stop)
    finally:
        log.removeHandler(epochs)
        log.setLevel(level)
    return epochs


def only_trial(study: Study) -> FrozenTrial:
    (trial,) = study.trials()
    return trial


def test_a_slots_second_counts_its_share_and_its_pace_is_its_own(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    search = create_search(storage, parse_space(stripes | {"trials": 1}, source="test"))
    epochs = work(storage, data_dir, slots=4)
    attributes = only_trial(search).user_attrs
    charged = attributes[trial_record.EPOCH_SECONDS]
    assert charged == pytest.approx([seconds / 4 for seconds in epochs.seconds], abs=1e-4)
    rates = epochs.images_per_second
    assert attributes[trial_record.IMAGES_PER_SECOND] == pytest.approx(fmean(rates), abs=0.1)
    assert search.hours * 3600 == pytest.approx(attributes[trial_record.SECONDS])
    assert attributes[trial_record.SECONDS] > sum(charged)

    retraining = create_retraining(search, seeds=1)
    epochs = work(storage, data_dir, slots=4)
    # Its epochs are nothing but training, of whole batches.
    batch = only_trial(retraining).params.get("batch_size", search.trials()[0].params["batch_size"])
    for rate, seconds in zip(epochs.images_per_second, epochs.seconds, strict=True):
        batches = rate * seconds / batch
        assert batches == pytest.approx(48 // batch, rel=0.05)


def test_a_trial_that_goes_on_beside_fewer_others_adds_up(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create_search(storage, parse_space(stripes | {"trials": 1}, source="test"))
    first = work(storage, data_dir, slots=4, stop_after=1)
    before = only_trial(study).user_attrs
    assert len(before[trial_record.EPOCH_SECONDS]) == 1
    rest = work(storage, data_dir, slots=1)

    after = only_trial(study).user_attrs
    expected = [*(seconds / 4 for seconds in first.seconds), *rest.seconds]
    assert after[trial_record.EPOCH_SECONDS] == pytest.approx(expected, abs=1e-4)
    more = after[trial_record.SECONDS] - before[trial_record.SECONDS]
    assert more > sum(rest.seconds)


def test_a_supervised_worker_tells_its_pace_after_each_epoch(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    create_search(storage, parse_space(stripes | {"trials": 1}, source="test"))
    paces = SlotPaces(1)
    epochs = work(storage, data_dir, slot=Slot(1, 1, paces.reports, lock=None))
    told = os.read(paces.reader, 2**16).decode().splitlines()
    rates = [json.loads(line)["pace"]["images_per_second"] for line in told]
    assert rates == epochs.images_per_second
    os.close(paces.reader)
    os.close(paces.reports)


def test_a_worker_without_work_tells_its_supervisor(storage: Storage, data_dir: Path) -> None:
    paces = SlotPaces(1)
    slot = Slot(1, 1, paces.reports, lock=None)
    stop = StopRequest()
    waiting = replace(settings(data_dir, drain=False), slot=slot)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(run_worker, storage, waiting, stop)
        assert select.select([paces.reader], [], [], WAIT_SECONDS)[0]
        stop._requested = True
        work.result(timeout=WAIT_SECONDS)
    assert json.loads(os.read(paces.reader, 2**16)) == {"number": 1, "pace": None}
    os.close(paces.reader)
    os.close(paces.reports)
