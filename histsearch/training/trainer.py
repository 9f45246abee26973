"""One training run: warm-up, epochs, validation.

Follows the public reference implementations of HIST (Lim et al., CVPR 2022), with the values of
Yuan & Le-Phuoc 2023, Tables 8 and 9, as defaults.
"""

# N = batch size, H, W = image height and width, B = batches in an epoch

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import StepLR

from histsearch.data.batches import EpochBatches, TrainingImages
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_loader import ImageLoader
from histsearch.data.image_set import ImageSet
from histsearch.exceptions import HistsearchError
from histsearch.losses.loss_record import LossRecord
from histsearch.models.backbone import Backbone
from histsearch.models.network import build_network
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.transforms import Normalisation, TrainingCrop
from histsearch.retrieval.known_metrics import Metric
from histsearch.space.configuration import Configuration, Value
from histsearch.space.space import Determinism, Precision
from histsearch.training.arithmetic import autocast, choose_algorithms
from histsearch.training.batch_source import (
    BatchSource,
    DeviceBatches,
    EvaluationLoader,
    LoadedBatches,
    count_evaluation_batches,
)
from histsearch.training.evaluation import EmbeddedImages, embed_images
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.progress_display import Phase
from histsearch.training.state_check import UnfitStateError, check_form, check_optimizer

# Torch's words for a learning rate of 1e38, by 0.1, as a step of float32.
_OVERFLOW = re.compile(r"cannot be converted to type .* without overflow")

# Asking a GPU makes the host wait until it has done all that is queued.
_BATCHES_BETWEEN_CHECKS = 32


class NonFiniteLossError(HistsearchError):
    """The loss, a weight or an embedding became NaN or infinite, which ends a run for good."""


class InterruptedRunError(Exception):
    """The run was asked to stop between two batches."""


@dataclass(frozen=True)
class RunSettings:
    """What a training run depends on besides its images and its device.

    The objective is the metric that its validation images are scored by, and ``image_size_cap`` the
    longest that the shorter side of a training image may be, in pixels.
    """

    backbone: Backbone
    weights: str
    loss: LossRecord[Any, Any]
    objective: Metric
    epochs: int
    configuration: Configuration
    seed: int
    precision: Precision = "fp32"
    determinism: Determinism = "exact"
    image_size_cap: int | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        """The input images: the backbone's, but for what the configuration says."""
        return self.configuration.preprocessing(self.backbone.preprocessing)

    @property
    def hyperparameters(self) -> dict[str, Value]:
        """The value of every parameter by name, those that are the backbone's included."""
        return {**self.configuration.values(), **self.preprocessing.hyperparameters}


@dataclass(frozen=True)
class Epoch:
    """One finished epoch.

    Attributes:
        number: 1 for the first epoch after the warm-up.
        loss: Mean training loss over its batches.
        score: The objective on the validation images, in [0, 1]; None without such images.
        seconds: Training and validation together, by the trainer's clock; where the epoch was
            stopped and gone on with, without the time between and without what had to be done
            again.
        images_per_second: Training throughput alone.
    """

    number: int
    loss: float
    score: float | None
    seconds: float
    images_per_second: float


def _never() -> bool:
    return False


def _do_nothing() -> None:
    return None


def _stopping(
    on_progress: Callable[[], object], should_stop: Callable[[], bool]
) -> Callable[[], None]:
    """What is called between two steps that don't train: it ends a run that is to stop."""

    def tell_and_ask() -> None:
        on_progress()
        if should_stop():
            raise InterruptedRunError

    return tell_and_ask


class Trainer:
    """Trains one configuration; iterate over `epochs` to drive it.

    Everything random (initial weights, order of images, augmentation) follows from
    ``settings.seed``, so a run repeated on the same machine gives the same curve.

    ``on_warmup_epoch`` is called with the trainer after each epoch of the warm-up, which `epochs`
    doesn't yield, and ``on_progress`` after each step of the work: a batch, or a part of a ranking.
    ``on_phase`` is called with each part of the work as it begins.
    ``clock`` gives the seconds by which epochs are timed. ``on_device`` says whether the images of
    a run that begins lie on the device, and keeps them there for the next; a run that goes on has
    them where they lay before.

    Attributes:
        finished_warmup_epochs: Epochs of the warm-up that are over.
        finished_epochs: Epochs after the warm-up that are over, validation included.
        finished_batches: Training batches done of the epoch under way.
        warmup_seconds: Time of the warm-up epochs that are over.
    """

    def __init__(
        self,
        settings: RunSettings,
        images: ImageSet,
        *,
        device: torch.device,
        loader_processes: int = 0,
        on_device: ImagesOnDevice | None = None,
        should_stop: Callable[[], bool] = _never,
        on_warmup_epoch: "Callable[[Trainer], object]" = lambda _: None,
        on_progress: Callable[[], object] = _do_nothing,
        on_phase: Callable[[Phase], object] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        values = settings.configuration.training
        torch.manual_seed(settings.seed)
        choose_algorithms(settings.determinism)
        self.settings = settings
        self.device = device
        self.preprocessing = settings.preprocessing
        self.network = build_network(
            settings.backbone, values.embedding_size, weights=settings.weights
        ).to(device)
        if self._on_gpu:
            # On a CPU it may change the last bits of curves that are kept.
            self.network.to(memory_format=torch.channels_last)
        self.network.bn_freeze = values.bn_freeze
        self._loss_parameters = settings.loss.parameters(**settings.configuration.loss)
        self.loss = settings.loss.build(
            self._loss_parameters, images.num_classes, values.embedding_size
        ).to(device)
        self.optimizer = self._build_optimizer()
        self.schedule = StepLR(self.optimizer, values.lr_step, values.lr_gamma)
        self.finished_warmup_epochs = 0
        self.finished_epochs = 0
        self.finished_batches = 0
        self.warmup_seconds = 0.0
        self._train_seconds = 0.0
        self._is_checked = True
        self._should_stop = should_stop
        self._on_warmup_epoch = on_warmup_epoch
        self._on_progress = on_progress
        self._on_phase = on_phase
        self._clock = clock
        self._batches = EpochBatches(
            images.labels_N,
            values.batch_size,
            seed=settings.seed,
            images_per_class=values.images_per_class,
        )
        self._losses_B = torch.zeros(len(self._batches), device=device)
        self._normalised = Normalisation(self.preprocessing, device)
        loader = ImageLoader(loader_processes, pin_memory=self._on_gpu)
        self._loader_processes = loader_processes
        self._training = TrainingImages(
            images.formed(
                WholeImages(settings.image_size_cap), loader_processes, self._on_progress
            ),
            images.labels_N,
            TrainingCrop(self.preprocessing),
            settings.seed,
        )
        # A method of this object would keep it, and with it the loader's processes, until the
        # garbage collector finds it; they then end with a delay of seconds.
        self._before_embedding = _stopping(on_progress, should_stop)
        self._evaluation = EvaluationLoader(self.preprocessing, loader, self._before_embedding)
        self._source: BatchSource = LoadedBatches(self._training, loader, self._evaluation)
        self._on_device = on_device or ImagesOnDevice(device)
        self._crops_on_device: bool | None = None

    def _build_optimizer(self) -> Optimizer:
        values = self.settings.configuration.training
        own = self.settings.loss.groups(self.loss, self._loss_parameters, values.lr)
        groups = [
            {"params": list(self.network.backbone_parameters()), "lr": values.lr},
            {"params": list(self.network.embedding_parameters()), "lr": values.lr},
            *({"params": list(one.weights), "lr": one.lr} for one in own),
        ]
        optimizers: dict[str, type[Adam] | type[AdamW]] = {"adam": Adam, "adamw": AdamW}
        # On a CPU the fused step would change the last bits of curves that are kept.
        fused = True if self._on_gpu else None
        return optimizers[values.optimizer](groups, weight_decay=values.weight_decay, fused=fused)

    def epochs(
        self, validation: ImageSet | None = None, gallery: ImageSet | None = None
    ) -> Iterator[Epoch]:
        """Warm up, then train, yielding each epoch as it ends; stop iterating to stop training.

        After `load_state_dict` they go on with the batch after the last one done; a validation
        that was interrupted is repeated.

        Args:
            validation: Images that are scored after every epoch.
            gallery: Images that the validation images are ranked against (In-Shop); one another
                when left out.

        Raises:
            NonFiniteLossError: A batch gave a NaN or infinite loss, or an epoch such weights.
            InterruptedRunError: ``should_stop`` turned true.
            DataError: An image can't be read, or all are to lie on the device and can't.
            NoRoomError: The images of a run that goes on lay on its device and don't fit on this.
        """
        self.place_images(validation, gallery)
        self._warm_up()
        while self.finished_epochs < self.settings.epochs:
            # The schedule is a step ahead where only the validation is left of an epoch.
            if self.schedule.last_epoch == self.finished_epochs:
                self._train_epoch()
                self.schedule.step()
            started = self._clock()
            score = None
            if validation is not None:
                self._begin_validation([validation, *([] if gallery is None else [gallery])])
                score = self._score(validation, gallery)
            epoch = Epoch(
                number=self.finished_epochs + 1,
                loss=float(self._losses_B.mean(dtype=torch.float64)),
                score=score,
                seconds=self._train_seconds + self._clock() - started,
                images_per_second=self._images_per_epoch / self._train_seconds,
            )
            self.finished_epochs += 1
            self._begin_epoch()
            yield epoch

    def steps(self) -> Iterator[None]:
        """Train for ever without an evaluation, pausing before each batch: to time them.

        `place_images` comes before; raises as `epochs` does.
        """
        while True:
            yield from self._train_steps()
            self._begin_epoch()

    @property
    def crops_on_device(self) -> bool:
        """Whether its images lie on the device, which cuts the crops, or are to lie there."""
        return self._crops_on_device is True

    @property
    def position(self) -> tuple[int, int, int]:
        """How far the run is: finished epochs of the warm-up, epochs after it, batches."""
        return self.finished_warmup_epochs, self.finished_epochs, self.finished_batches

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, as it stands between two batches.

        It may be taken between epochs, in ``should_stop``, and after an `InterruptedRunError`. Its
        tensors are the run's own, which the next batch changes. The order of images and their
        augmentation follow from seed and epoch, so they need none.

        Raises:
            NonFiniteLossError: A loss or a weight is NaN or infinite.
        """
        self._check_finite()
        return {
            "finished_warmup_epochs": self.finished_warmup_epochs,
            "finished_epochs": self.finished_epochs,
            "finished_batches": self.finished_batches,
            "warmup_seconds": self.warmup_seconds,
            "train_seconds": self._train_seconds,
            "losses": self._losses_B,
            "crops_on_device": self._crops_on_device,
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if self._on_gpu else None,
        }

    def check_state_dict(self, state: object) -> None:
        """Make sure that `load_state_dict` could load a state of another process.

        Raises:
            UnfitStateError: It is no state of a run with the same settings and images.
        """
        expected = self.state_dict()
        # Where crops are cut may not be settled yet; an optimizer's own grows with the first step.
        apart = {"crops_on_device", "optimizer"}
        if not isinstance(state, Mapping) or not apart <= state.keys():
            raise UnfitStateError("it holds no state of a run")
        rest, expected = (
            {key: value for key, value in one.items() if key not in apart}
            for one in (state, expected)
        )
        check_form(rest, expected, "the state")
        if not isinstance(state["crops_on_device"], bool | None):
            raise UnfitStateError("the state.crops_on_device is neither true nor false")
        check_optimizer(state["optimizer"], self.optimizer, "the state.optimizer")
        limits = {
            "finished_warmup_epochs": self.settings.configuration.training.warmup_epochs,
            "finished_epochs": self.settings.epochs,
            "finished_batches": len(self._batches),
        }
        for name, most in limits.items():
            if not 0 <= state[name] <= most:
                raise UnfitStateError(f"the state.{name} is {state[name]}, expected at most {most}")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of a run with the same settings, images and type of device.

        On a CPU, and on a GPU with deterministic algorithms, the rest of the run is bit for bit
        that of one that was never stopped.

        Raises:
            UnfitStateError: It is no state of such a run; nothing of it is loaded then.
        """
        self.check_state_dict(state)
        self.finished_warmup_epochs = state["finished_warmup_epochs"]
        self.finished_epochs = state["finished_epochs"]
        self.finished_batches = state["finished_batches"]
        self.warmup_seconds = state["warmup_seconds"]
        self._train_seconds = state["train_seconds"]
        self._losses_B.copy_(state["losses"])
        self._crops_on_device = state["crops_on_device"]
        self.network.load_state_dict(state["network"])
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        if self._on_gpu:
            torch.cuda.set_rng_state(state["cuda_random"], self.device)

    def measure(
        self, metrics: Iterable[Metric], queries: ImageSet, gallery: ImageSet | None = None
    ) -> dict[str, float]:
        """Metrics of the network as it stands by name, in [0, 1]; raises as `embed` does."""
        embedded = self.embed(queries, gallery)
        return embedded.retrieve(metrics, on_chunk=self._on_progress).values

    def embed(self, queries: ImageSet, gallery: ImageSet | None = None) -> EmbeddedImages:
        """Images as the network embeds them as it stands.

        Raises:
            NonFiniteLossError: An embedding is NaN or infinite.
            InterruptedRunError: ``should_stop`` turned true.
        """
        embedded = embed_images(
            self.network,
            queries,
            gallery,
            self.preprocessing,
            device=self.device,
            batches=self.evaluation_batches,
            on_batch=self._before_embedding,
        )
        if not embedded.are_finite:
            raise NonFiniteLossError("the embeddings became NaN or infinite")
        return embedded

    def evaluation_batches(self, images: ImageSet, every: int = 1) -> Iterator[Tensor]:
        """Batches of images to embed, from where `embed` takes them.

        Args:
            images: The images.
            every: Which batches: each that comes so many after the one before.
        """
        return self._source.evaluation(images, every)

    def place_images(
        self, validation: ImageSet | None = None, gallery: ImageSet | None = None
    ) -> None:
        """Have the images of each epoch where its batches are put together, as `epochs` does."""
        self._on_phase(Phase("preparing images"))
        evaluated = [one for one in (validation, gallery) if one is not None]
        sets = [self._training.images, *(self._evaluation.add(images) for images in evaluated)]
        if self._crops_on_device is None:
            self._crops_on_device = self._on_device.are_wanted(sets, self._before_embedding)
        if self._crops_on_device:
            training, *shown = self._on_device.place(
                sets, self._loader_processes, self._before_embedding
            )
            self._source = DeviceBatches(
                self._training,
                self.preprocessing,
                training,
                dict(zip(evaluated, shown, strict=True)),
                self._evaluation,
            )

    def _score(self, validation: ImageSet, gallery: ImageSet | None) -> float:
        objective = self.settings.objective
        return self.measure([objective], validation, gallery)[objective.name]

    def _begin_training(self) -> None:
        """Say which epoch is trained now."""
        warmup_epochs = self.settings.configuration.training.warmup_epochs
        warms_up = self.finished_warmup_epochs < warmup_epochs
        name = f"epoch {self.finished_epochs + 1}/{self.settings.epochs}"
        if warms_up:
            name = f"warm-up epoch {self.finished_warmup_epochs + 1}/{warmup_epochs}"
        self._on_phase(
            Phase(
                name,
                steps=len(self._batches),
                done=self.finished_batches,
                images_per_step=self.settings.configuration.training.batch_size,
                epochs_after=None if warms_up else self.settings.epochs - self.finished_epochs - 1,
                is_told=warms_up,
            )
        )

    def _begin_validation(self, images: Sequence[ImageSet]) -> None:
        """Say that the images are ranked, batch by batch."""
        name = f"validating epoch {self.finished_epochs + 1}/{self.settings.epochs}"
        self._on_phase(Phase(name, steps=count_evaluation_batches(images)))

    @property
    def _images_per_epoch(self) -> int:
        return len(self._batches) * self.settings.configuration.training.batch_size

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def _warm_up(self) -> None:
        """Train everything but the backbone; the learning-rate schedule stands still."""
        self.network.set_backbone_trainable(False)
        while self.finished_warmup_epochs < self.settings.configuration.training.warmup_epochs:
            self._train_epoch()
            self.finished_warmup_epochs += 1
            self.warmup_seconds += self._train_seconds
            self._begin_epoch()
            self._on_warmup_epoch(self)
        self.network.set_backbone_trainable(True)

    def _begin_epoch(self) -> None:
        self.finished_batches = 0
        self._train_seconds = 0.0

    def _train_epoch(self) -> None:
        """Train the batches of the epoch under way that aren't done."""
        for _ in self._train_steps():
            pass

    def _train_steps(self) -> Iterator[None]:
        """The same, pausing before each batch."""
        self._begin_training()
        self.network.train()
        self.loss.train()
        self._batches.set_epoch(
            self.finished_warmup_epochs + self.finished_epochs, self.finished_batches
        )
        started = self._clock() - self._train_seconds
        batches = self._source.training(self._batches)
        for images_NHW3, flipped_N, labels_N in batches:
            yield
            images_N3HW = self._normalised(images_NHW3, flipped_N)
            self._losses_B[self.finished_batches] = self._train_batch(images_N3HW, labels_N)
            self._is_checked = False
            self.finished_batches += 1
            if self.finished_batches % _BATCHES_BETWEEN_CHECKS == 0:
                self._check_losses()
            self._train_seconds = self._clock() - started
            self._on_progress()
        self._check_finite()
        self._train_seconds = self._clock() - started  # the last batches may have been queued

    def _check_finite(self) -> None:
        """End a run with a loss out of range, or with a weight that no loss has shown yet."""
        if self._is_checked:
            return
        self._check_losses()
        # A mean or moment that a loss or weight doesn't show is saved as well.
        kept = [
            *self.network.state_dict().values(),
            *self.loss.state_dict().values(),
            *(one for state in self.optimizer.state.values() for one in state.values()),
        ]
        numbers = [one for one in kept if isinstance(one, Tensor) and one.is_floating_point()]
        is_finite = [torch.isfinite(one).all().to(self.device) for one in numbers]
        if not torch.stack(is_finite).all():
            raise NonFiniteLossError("a weight, or what follows from one, became NaN or infinite")
        self._is_checked = True

    def _check_losses(self) -> None:
        losses = self._losses_B[: self.finished_batches]
        is_finite = torch.isfinite(losses)
        if not is_finite.all():
            raise NonFiniteLossError(f"the loss became {losses[~is_finite][0].item()}")

    def _stop_if_asked(self) -> None:
        if self._should_stop():
            raise InterruptedRunError

    def _train_batch(self, images_N3HW: Tensor, labels_N: Tensor) -> Tensor:
        self._stop_if_asked()
        with autocast(self.settings.precision, self.device):
            embeddings_ND = self.network(images_N3HW)
        loss = self._loss_of(embeddings_ND.float(), labels_N)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._step()
        return loss.detach()

    def _loss_of(self, embeddings_ND: Tensor, labels_N: Tensor) -> Tensor:
        """The loss of a batch in float32, which a GPU may still have to compute."""
        if self.settings.loss.never_waits:
            loss: Tensor = self.loss(embeddings_ND, labels_N)
            return loss
        loss = self.loss(embeddings_ND, labels_N.to(self.device, non_blocking=True))
        # What NaN would do to such a loss isn't known, and it makes the host wait anyway.
        if not torch.isfinite(loss):
            raise NonFiniteLossError(f"the loss became {loss.item()}")
        return loss

    def _step(self) -> None:
        """Change the weights, by steps that a weight's type can hold."""
        try:
            self.optimizer.step()
        except RuntimeError as error:
            if _OVERFLOW.search(str(error)):
                raise NonFiniteLossError(
                    "a step of the optimizer is larger than its weights can hold; lower the "
                    "learning rates or weight_decay"
                ) from error
            raise
