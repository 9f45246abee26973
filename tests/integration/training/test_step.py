"""What a step of training computes with, and that nothing in it waits for the device."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from histsearch.data.dataset import load_dataset
from histsearch.data.hold_out import hold_out_classes
from histsearch.data.image_set import ImageSet
from histsearch.exceptions import DeviceError
from histsearch.hist import HISTLoss
from histsearch.losses.known_losses import find_loss
from histsearch.space.configuration import Value
from histsearch.space.space import Precision
from histsearch.training import trainer as trainer_module
from histsearch.training.arithmetic import check_precision, choose_algorithms
from histsearch.training.trainer import InterruptedRunError, NonFiniteLossError, Trainer
from tests.conv4_runs import conv4_run

torch.set_num_threads(1)

SMALL: dict[str, Value] = {
    "batch_size": 8,
    "embedding_size": 16,
    "bn_freeze": False,
    "warmup_epochs": 0,
}
WAITING = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "_unique2", "masked_select")


@pytest.fixture(scope="module")
def images(data_dir: Path) -> tuple[ImageSet, ImageSet]:
    return hold_out_classes(load_dataset("folder:stripes", data_dir).train, 0.34, 0)


@pytest.fixture(autouse=True)
def usual_algorithms() -> Iterator[None]:
    yield
    choose_algorithms("exact")


def a_trainer(
    images: tuple[ImageSet, ImageSet],
    loss: str = "hist",
    precision: Precision = "fp32",
    should_stop: Any = lambda: False,
    **changes: Value,
) -> Trainer:
    own = {"hgnn_hidden": 16} if loss == "hist" else {}
    settings = conv4_run(2, {**SMALL, **own, **changes}, loss=loss, precision=precision)
    return Trainer(settings, images[0], device=torch.device("cpu"), should_stop=should_stop)


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations on numbers of the device that would make the host wait for a GPU.

    The labels, which are whole numbers, lie on the host.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.name().removeprefix("aten::").partition(".")[0]
        on_device = any(isinstance(one, Tensor) and one.is_floating_point() for one in args)
        by_mask = name == "index" and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        )
        if by_mask or (name in WAITING and (on_device or args[0].dtype == torch.bool)):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("loss", ["hist", "proxy-anchor"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_batch_waits_for_the_device(
    images: tuple[ImageSet, ImageSet], loss: str, precision: Precision
) -> None:
    trainer = a_trainer(images, loss, precision)
    # That of a GPU, fused, asks for no numbers; that of a CPU does.
    step, steps = trainer.optimizer.step, []
    trainer.optimizer.step = lambda: steps.append(1)  # type: ignore[assignment,method-assign]
    batch_N3HW = torch.randn(8, 3, 32, 32)
    labels_N = torch.arange(8) % 4
    with Waits() as waits:
        for _ in range(3):
            trainer._losses_B[0] = trainer._train_batch(batch_N3HW, labels_N)
    assert waits.found == []
    assert len(steps) == 3
    with Waits() as waits:
        step()
        trainer._is_checked = False
        trainer._check_finite()
    assert waits.found, "they would be seen"


@pytest.mark.parametrize("name", ["hist", "proxy-anchor"])
def test_a_gpu_takes_a_step_with_labels_that_lie_on_the_cpu(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU that torch makes up, an operation that would have to wait for it raises."""
    record = find_loss(name)
    # What is done with the labels alone is done on the CPU.
    monkeypatch.setattr(HISTLoss, "_classes_of", lambda *_: torch.empty(4, dtype=torch.int64))
    with FakeTensorMode():
        with torch.device("cuda"):
            loss = record.build(record.parameters(), 4, 16)
            embeddings_ND = torch.empty(8, 16, requires_grad=True)
        losses_B = torch.zeros(5, device="cuda")
        losses_B[3] = loss(embeddings_ND, torch.empty(8, dtype=torch.int64)).detach()
        for one in loss.parameters():
            one.grad = torch.empty_like(one)
        torch.optim.Adam(loss.parameters(), fused=True).step()
        with pytest.raises(DataDependentOutputException):
            bool(torch.isfinite(losses_B).all())


def test_the_losses_of_an_epoch_are_asked_for_once_in_a_while(
    images: tuple[ImageSet, ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "_BATCHES_BETWEEN_CHECKS", 2)
    asked: list[int] = []
    check = Trainer._check_losses

    def note(trainer: Trainer) -> None:
        asked.append(trainer.finished_batches)
        check(trainer)

    monkeypatch.setattr(Trainer, "_check_losses", note)
    next(a_trainer(images, batch_size=6).epochs())
    assert asked == [2, 4, 5]


def test_a_loss_that_became_nan_is_told_and_never_part_of_a_state(
    images: tuple[ImageSet, ImageSet],
) -> None:
    batches = 0

    def should_stop() -> bool:
        nonlocal batches
        batches += 1
        if batches == 2:
            with torch.no_grad():
                trainer.network.embedding_parameters()[0].fill_(torch.nan)
        return batches == 4

    trainer = a_trainer(images, should_stop=should_stop)
    with pytest.raises(InterruptedRunError):
        next(trainer.epochs(images[1]))
    with pytest.raises(NonFiniteLossError, match="the loss became nan"):
        trainer.state_dict()

    batches = -2
    trainer = a_trainer(images, should_stop=should_stop)
    with pytest.raises(NonFiniteLossError, match="the loss became nan"):
        next(trainer.epochs(images[1]))


def test_a_weight_that_became_infinite_is_never_part_of_a_state(
    images: tuple[ImageSet, ImageSet],
) -> None:
    batches = 0

    def should_stop() -> bool:
        nonlocal batches
        batches += 1
        if batches == 3:
            with torch.no_grad():
                next(iter(trainer.loss.parameters()))[0, 0] = torch.inf
        return batches == 3

    trainer = a_trainer(images, should_stop=should_stop)
    with pytest.raises(InterruptedRunError):
        next(trainer.epochs(images[1]))
    with pytest.raises(NonFiniteLossError, match="a weight, or what follows"):
        trainer.state_dict()


def test_a_loss_of_the_library_is_asked_for_at_each_batch(
    images: tuple[ImageSet, ImageSet],
) -> None:
    trainer = a_trainer(images, "pml:TripletMarginLoss", images_per_class=2)
    with torch.no_grad():
        trainer.network.embedding_parameters()[0].fill_(torch.nan)
    batch_N3HW, labels_N = torch.randn(8, 3, 32, 32), torch.arange(8) % 4
    with pytest.raises(NonFiniteLossError):
        trainer._train_batch(batch_N3HW, labels_N)
    assert trainer.optimizer.state_dict()["state"] == {}, "no step was taken"


@pytest.mark.parametrize("loss", ["hist", "proxy-anchor", "pml:ProxyAnchorLoss"])
def test_bf16_is_for_the_network_alone(
    images: tuple[ImageSet, ImageSet], loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = a_trainer(images, loss, "bf16", images_per_class=2)
    computed: set[torch.dtype] = set()
    given: list[tuple[torch.dtype, bool]] = []
    layers = [one for one in trainer.network.modules() if isinstance(one, torch.nn.Conv2d)]
    layers[-1].register_forward_hook(lambda *args: computed.add(args[2].dtype))
    forward = trainer.loss.forward

    def note(embeddings_ND: Tensor, labels_N: Tensor) -> Any:
        given.append((embeddings_ND.dtype, torch.is_autocast_enabled("cpu")))
        return forward(embeddings_ND, labels_N)

    monkeypatch.setattr(trainer.loss, "forward", note)
    next(trainer.epochs())
    assert computed == {torch.bfloat16}
    assert set(given) == {(torch.float32, False)}
    state = trainer.state_dict()
    kept = [*state["network"].values(), *state["loss"].values(), state["losses"]]
    kept += [one for moments in state["optimizer"]["state"].values() for one in moments.values()]
    assert {one.dtype for one in kept if one.is_floating_point()} == {torch.float32}


def test_what_is_measured_is_embedded_in_float32(images: tuple[ImageSet, ImageSet]) -> None:
    trainer = a_trainer(images, precision="bf16")
    computed: set[torch.dtype] = set()
    layers = [one for one in trainer.network.modules() if isinstance(one, torch.nn.Conv2d)]
    layers[-1].register_forward_hook(lambda *args: computed.add(args[2].dtype))
    trainer.measure([trainer.settings.objective], images[1])
    assert computed == {torch.float32}


def test_bf16_trains_otherwise_than_fp32_and_itself_again(
    images: tuple[ImageSet, ImageSet],
) -> None:
    def curve(precision: Precision) -> list[float]:
        return [epoch.loss for epoch in a_trainer(images, precision=precision).epochs()]

    assert curve("bf16") == curve("bf16")
    assert curve("bf16") != curve("fp32")
    assert curve("bf16") == pytest.approx(curve("fp32"), rel=0.3)


def test_repeatable_algorithms_are_left_only_where_a_study_says_so(
    images: tuple[ImageSet, ImageSet],
) -> None:
    def chosen() -> tuple[bool, bool, bool]:
        cudnn = torch.backends.cudnn
        return cudnn.deterministic, cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32

    fast = conv4_run(1, {**SMALL, "hgnn_hidden": 16}, determinism="fast")
    Trainer(fast, images[0], device=torch.device("cpu"))
    assert chosen() == (False, True, False)
    a_trainer(images)
    assert chosen() == (True, False, False)


def test_a_gpu_without_bf16_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")
    for has_it in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: has_it)  # noqa: B023
        check_precision("fp32", gpu)
        check_precision("bf16", torch.device("cpu"))
        if has_it:
            check_precision("bf16", gpu)
    with pytest.raises(DeviceError, match=r'found precision = "bf16" and Tesla V100, .*8.0 or la'):
        check_precision("bf16", gpu)
