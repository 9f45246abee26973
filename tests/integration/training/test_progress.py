from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from histsearch.data.dataset import load_dataset
from histsearch.data.hold_out import hold_out_classes
from histsearch.data.readable_images import without_unreadable
from histsearch.retrieval import similarity
from histsearch.space.configuration import Value
from histsearch.training.progress_display import Phase
from histsearch.training.trainer import NonFiniteLossError, RunSettings, Trainer
from tests.conv4_runs import conv4_run

torch.set_num_threads(1)


SMALL: dict[str, Value] = {
    "batch_size": 8,
    "embedding_size": 16,
    "hgnn_hidden": 16,
    "bn_freeze": False,
}


def one_epoch(changes: Mapping[str, Value]) -> RunSettings:
    return conv4_run(1, {**SMALL, **changes})


def test_every_batch_and_every_part_of_a_ranking_is_progress(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_dataset("folder:stripes", data_dir)
    train, validation = hold_out_classes(dataset.train, 0.34, 0)
    monkeypatch.setattr(similarity, "CHUNK_SIMILARITIES", 4 * len(validation))
    steps: list[tuple[int, int]] = []
    trainer = Trainer(
        one_epoch({"warmup_epochs": 1}),
        train,
        device=torch.device("cpu"),
        on_progress=lambda: steps.append((trainer.finished_warmup_epochs, trainer.finished_epochs)),
    )
    list(trainer.epochs(validation))
    batches = len(train) // 8
    assert steps.count((0, 0)) == batches
    assert steps.count((1, 0)) == batches + 1 + len(validation) // 4

    read: list[None] = []
    without_unreadable(dataset, 0, lambda: read.append(None))
    assert len(read) == len(dataset.train) + len(dataset.test)


def test_each_phase_is_told_with_its_steps(data_dir: Path) -> None:
    dataset = load_dataset("folder:stripes", data_dir)
    train, validation = hold_out_classes(dataset.train, 0.34, 0)
    phases: list[Phase] = []
    steps: list[str] = []
    trainer = Trainer(
        conv4_run(2, {**SMALL, "warmup_epochs": 1}),
        train,
        device=torch.device("cpu"),
        on_progress=lambda: steps.append(phases[-1].name),
        on_phase=phases.append,
    )
    epochs = trainer.epochs(validation)
    next(epochs)
    assert [(one.name, one.epochs_after) for one in phases] == [
        ("preparing images", None),
        ("warm-up epoch 1/1", None),
        ("epoch 1/2", 1),
        ("validating epoch 1/2", None),
    ]
    for one in phases[1:3]:
        assert steps.count(one.name) == one.steps == len(train) // 8
        assert one.images_per_step == 8
    assert phases[3].steps == 1
    state = trainer.state_dict()

    trainer.load_state_dict({**state, "finished_batches": 1})
    list(trainer.epochs(validation))
    gone_on_with = next(one for one in phases if one.name == "epoch 2/2")
    assert (gone_on_with.done, gone_on_with.epochs_after) == (1, 0)
    assert steps.count("epoch 2/2") == len(train) // 8 - 1


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 1e38),
        ("lr", 9e99),
        ("lr_hgnn", 1e38),
        ("lr_distributions", 1e38),
        ("weight_decay", 1e300),
        ("tau", 1e300),
        ("alpha", 1e300),
        ("lambda_s", 1e300),
    ],
)
def test_what_no_float32_can_hold_diverges_and_does_not_crash(
    data_dir: Path, optimizer: str, name: str, value: float
) -> None:
    train = load_dataset("folder:stripes", data_dir).train
    trainer = Trainer(
        one_epoch({"optimizer": optimizer, name: value}),
        train,
        device=torch.device("cpu"),
    )
    with pytest.raises(NonFiniteLossError):
        list(trainer.epochs())


def test_a_weight_that_the_last_batch_sent_out_of_range_ends_the_run(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = load_dataset("folder:stripes", data_dir).train
    trainer = Trainer(
        one_epoch({"warmup_epochs": 0, "batch_size": len(train)}),
        train,
        device=torch.device("cpu"),
    )
    step = trainer.optimizer.step

    def overflow() -> None:
        step()
        with torch.no_grad():
            trainer.loss.means[0, 0] = torch.inf

    monkeypatch.setattr(trainer.optimizer, "step", overflow)
    with pytest.raises(NonFiniteLossError, match="a weight, or what follows"):
        list(trainer.epochs())
