"""The parameters of one training run: names, types, bounds and the paper's defaults."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

Value = int | float | str | bool

MOST_EPOCHS = 10_000
_LONGEST_STEP = 1_000_000_000  # with which the learning rates never drop
_WIDEST = 65_536
_LARGEST_BATCH = 65_536


class Configuration(BaseModel):
    """Everything a trial may vary; a space lists each name under ``[search]`` or ``[fixed]``.

    Defaults are those of CARS196 on ResNet-50 (Yuan & Le-Phuoc 2023, Tables 2 and 9). Each
    description is what an error message prints as "allowed".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    lambda_s: float = Field(1.0, ge=0, allow_inf_nan=False, description="a number >= 0")
    alpha: float = Field(0.9, ge=0, allow_inf_nan=False, description="a number >= 0")
    tau: float = Field(32.0, gt=0, allow_inf_nan=False, description="a number > 0")
    distance: Literal["mahalanobis", "euclidean", "cosine", "manhattan"] = Field(
        "mahalanobis", description='"mahalanobis", "euclidean", "cosine" or "manhattan"'
    )
    hgnn_layers: int = Field(2, ge=1, le=100, description="a whole number from 1 to 100")
    hgnn_hidden: int = Field(
        512, ge=1, le=_WIDEST, description=f"a whole number from 1 to {_WIDEST}"
    )
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
    lr_distributions: float = Field(0.1, ge=0, allow_inf_nan=False, description="a number >= 0")
    lr_hgnn: float = Field(1e-3, ge=0, allow_inf_nan=False, description="a number >= 0")
    weight_decay: float = Field(1e-4, ge=0, allow_inf_nan=False, description="a number >= 0")
    warmup_epochs: int = Field(
        1, ge=0, le=MOST_EPOCHS, description=f"a whole number from 0 to {MOST_EPOCHS}"
    )
    lr_step: int = Field(
        10, ge=1, le=_LONGEST_STEP, description=f"a whole number from 1 to {_LONGEST_STEP} (epochs)"
    )
    lr_gamma: float = Field(0.5, gt=0, le=1, description="a number in (0, 1]")
    bn_freeze: bool = Field(True, description="true or false")

    @model_validator(mode="after")
    def _batches_hold_whole_classes(self) -> Self:
        if self.images_per_class and self.batch_size % self.images_per_class:
            raise ValueError(
                f"images_per_class {self.images_per_class} does not divide "
                f"batch_size {self.batch_size}"
            )
        return self


PARAMETER_NAMES = tuple(Configuration.model_fields)


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    annotated: Any = Annotated[field.annotation, field]
    return TypeAdapter(annotated, config=ConfigDict(strict=True))


_ADAPTERS = {name: _adapter(field) for name, field in Configuration.model_fields.items()}


def allowed_values(name: str) -> str:
    """What parameter ``name`` may be, in words."""
    description = Configuration.model_fields[name].description
    assert description is not None
    return description


def is_valid_value(name: str, value: object) -> bool:
    """Whether parameter ``name`` may take ``value``."""
    try:
        _ADAPTERS[name].validate_python(value)
    except ValidationError:
        return False
    return True


def is_numeric(name: str) -> bool:
    """Whether parameter ``name`` is a number, so that a range of it makes sense."""
    return Configuration.model_fields[name].annotation in (int, float)


def is_whole(name: str) -> bool:
    """Whether parameter ``name`` takes whole numbers only."""
    return Configuration.model_fields[name].annotation is int
