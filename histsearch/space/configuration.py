"""A configuration: a value for every parameter of one training run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from histsearch.models.preprocessing import MOST_CROP, Preprocessing

Value = int | float | str | bool

MOST_EPOCHS = 10_000
_LONGEST_STEP = 1_000_000_000  # with which the learning rates never drop
_WIDEST = 65_536
_LARGEST_BATCH = 65_536


class TrainingParameters(BaseModel):
    """The parameters that every run has, whatever its loss.

    Defaults are those of CARS196 on ResNet-50 (Yuan & Le-Phuoc 2023, Table 9); one that is None is
    the backbone's, and no value. Each description is what an error message prints as "allowed".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    embedding_size: int = Field(
        512, ge=2, le=_WIDEST, description=f"a whole number from 2 to {_WIDEST}"
    )
    batch_size: int = Field(
        32, ge=2, le=_LARGEST_BATCH, description=f"a whole number from 2 to {_LARGEST_BATCH}"
    )
    images_per_class: int = Field(
        0,
        ge=0,
        le=_LARGEST_BATCH,
        description="0 (no class balancing) or a whole number that divides batch_size",
    )
    optimizer: Literal["adam", "adamw"] = Field("adam", description='"adam" or "adamw"')
    lr: float = Field(1e-4, ge=0, allow_inf_nan=False, description="a number >= 0")
    weight_decay: float = Field(1e-4, ge=0, allow_inf_nan=False, description="a number >= 0")
    warmup_epochs: int = Field(
        1, ge=0, le=MOST_EPOCHS, description=f"a whole number from 0 to {MOST_EPOCHS}"
    )
    lr_step: int = Field(
        10, ge=1, le=_LONGEST_STEP, description=f"a whole number from 1 to {_LONGEST_STEP} (epochs)"
    )
    lr_gamma: float = Field(0.5, gt=0, le=1, description="a number in (0, 1]")
    bn_freeze: bool = Field(True, description="true or false")
    image_size: int | None = Field(
        None, ge=1, le=MOST_CROP, description=f"a whole number from 1 to {MOST_CROP} (pixels)"
    )
    min_crop_area: float | None = Field(
        None, gt=0, le=1, description="a number in (0, 1] (part of an image's area)"
    )
    flip: bool = Field(True, description="true or false")

    @model_validator(mode="after")
    def _batches_hold_whole_classes(self) -> Self:
        if self.images_per_class and self.batch_size % self.images_per_class:
            raise ValueError(
                f"images_per_class {self.images_per_class} does not divide "
                f"batch_size {self.batch_size}"
            )
        return self


_LOSS_PREFIX = "loss."


def written_name(name: str) -> str:
    """How a space writes a loss's own parameter: ``loss.NAME`` where every run has a NAME."""
    return f"{_LOSS_PREFIX}{name}" if name in TrainingParameters.model_fields else name


def own_name(written: str) -> str | None:
    """The loss's own parameter that a space writes so; None where it is one of every run."""
    if written in TrainingParameters.model_fields:
        return None
    name = written.removeprefix(_LOSS_PREFIX)
    return name if written_name(name) == written else written


@dataclass(frozen=True)
class Configuration:
    """A value for every parameter of one training run.

    Attributes:
        loss: Of the loss's own parameters, by the names that it has for them.
        training: Of those that every run has.
    """

    loss: Mapping[str, Value]
    training: TrainingParameters

    def values(self) -> dict[str, Value]:
        """All values by their names in a space, without those that are the backbone's."""
        own = {written_name(name): value for name, value in self.loss.items()}
        return {**own, **self.training.model_dump(exclude_none=True)}

    def preprocessing(self, of_backbone: Preprocessing) -> Preprocessing:
        """The input images of the run, whose backbone was made for such ones."""
        return of_backbone.changed(
            image_size=self.training.image_size,
            min_crop_area=self.training.min_crop_area,
            flip=self.training.flip,
        )
