"""Saved states with a right digest that are none of their run."""

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from histsearch.data.dataset import Dataset, load_dataset
from histsearch.database.storage import Storage
from histsearch.models.digest import save_with_digest
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.training.run_states import RunStates
from histsearch.training.state_check import UnfitStateError
from histsearch.training.trainer import Trainer
from tests.conv4_runs import conv4_run
from tests.integration.workers.test_trial_runner import (
    run_next,
    run_until_stopped,
    stored,
    study_of,
)


@pytest.fixture
def dataset(data_dir: Path) -> Dataset:
    return load_dataset("folder:stripes", data_dir)


def a_trainer(dataset: Dataset, **changes: int) -> Trainer:
    values = {"batch_size": 16, "embedding_size": 16, "hgnn_hidden": 16, **changes}
    settings = conv4_run(3, values)
    return Trainer(settings, dataset.train, device=torch.device("cpu"))


def without(*path: str) -> Callable[[dict[str, Any]], object]:
    """Remove what a path of keys leads to."""

    def remove(state: dict[str, Any]) -> None:
        *folders, last = path
        for folder in folders:
            state = state[folder]
        del state[last]

    return remove


def test_a_trainer_takes_a_state_wholly_or_not_at_all(dataset: Dataset) -> None:
    first = a_trainer(dataset)
    next(first.epochs(dataset.test))
    good = first.state_dict()
    other = a_trainer(dataset, hgnn_hidden=8)
    next(other.epochs(dataset.test))
    foreign = other.state_dict()
    changes: list[Callable[[dict[str, Any]], object]] = [
        without("losses"),
        without("network", "model.embedding.weight"),
        without("optimizer", "param_groups"),
        without("schedule", "gamma"),
        lambda state: state.update(loss=foreign["loss"]),
        lambda state: state.update(optimizer=foreign["optimizer"]),
        lambda state: state.update(random=torch.zeros(3, dtype=torch.uint8)),
        lambda state: state.update(finished_epochs="1"),
        lambda state: state.update(finished_epochs=4),
        lambda state: state.update(network=[1, 2]),
        lambda state: state["optimizer"]["state"].update({999: {}}),
        lambda state: state["optimizer"]["state"][0].update(exp_avg=3),
        lambda state: state["schedule"].update(base_lrs=[0.1]),
    ]
    second = a_trainer(dataset)
    before = copy.deepcopy(second.state_dict())
    for change in changes:
        bad = copy.deepcopy(good)
        change(bad)
        with pytest.raises(UnfitStateError):
            second.load_state_dict(bad)
    assert str(second.state_dict()) == str(before)
    second.load_state_dict(good)
    assert second.finished_epochs == 1


def rewrite(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a checkpoint holds, and give it the digest that fits."""
    loaded = torch.load(file, weights_only=True)
    change(loaded)
    with file.open("wb") as rewritten:
        save_with_digest(loaded, rewritten)


def test_a_state_of_another_network_falls_back_to_the_one_before_then_to_a_fresh_start(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO", "histsearch")
    stripes["enqueue"] = [{"batch_size": 16, "tau": 8, "lambda_s": 1.0}]
    undisturbed = create_search(storage, parse_space(stripes, source="test"), name="undisturbed")
    run_next(undisturbed, dataset, tmp_path)

    study = study_of(storage, stripes)
    run_until_stopped(study, dataset, tmp_path, batches=10)
    newest = max(tmp_path.rglob("*.ckpt"), key=lambda file: file.stat().st_mtime_ns)

    def of_another_network(loaded: dict[str, Any]) -> None:
        loaded["state"]["trainer"]["loss"]["hgnn.output.weight"] = torch.zeros(2, 2)

    rewrite(newest, of_another_network)
    run_until_stopped(study, dataset, tmp_path, batches=1)
    assert f"The checkpoint {newest} is whole, but holds no state of this run" in caplog.text
    assert "hgnn.output.weight is a tensor of (2, 2)" in caplog.text
    assert "starts afresh" not in caplog.text

    for file in tmp_path.rglob("*.ckpt"):
        rewrite(file, lambda loaded: loaded["state"]["epochs"].append("no epoch"))
    run_next(study, dataset, tmp_path)
    assert "can be used; it starts afresh" in caplog.text
    assert stored(study).intermediate_values == stored(undisturbed).intermediate_values
    assert stored(study).value == stored(undisturbed).value


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x02.", b"PK\x03\x04", [1, 2], {"identity": "this run"}, {"state": {}}],
    ids=["nothing", "pickle", "zip", "list", "too little", "no identity"],
)
def test_what_is_no_checkpoint_is_passed_over(
    tmp_path: Path, content: object, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_checkpoint_store(str(tmp_path))
    RunStates(store, "run", 1, "this run").save({"epoch": 1})
    if not isinstance(content, bytes):
        buffer = io.BytesIO()
        save_with_digest(content, buffer)
        content = buffer.getvalue()
    store.write("run/attempt-2/a.ckpt", content)
    assert RunStates(store, "run", 3, "this run").load() == {"epoch": 1}
    assert "going back to the one before it" in caplog.text
