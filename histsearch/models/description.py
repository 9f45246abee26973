"""What a model's file says of the model, checked as it is read: a stranger may have written it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from histsearch.models.preprocessing import Preprocessing

ExportFormat = Literal["safetensors", "onnx", "torchscript"]

FEWEST_EMBEDDING, MOST_EMBEDDING = 2, 2**16
"""Sizes of an embedding that can be read: layer normalisation needs two elements."""

_LONGEST_NAME = 100
_SHOWN_FAULTS = 3
_SHOWN_DEPTH = 3
_SHOWN_CHARACTERS = 40
_SHOWN_BITS = 64


class ModelDescription(BaseModel):
    """What it takes to use a trained network."""

    backbone: str = Field(max_length=_LONGEST_NAME)
    embedding_size: int = Field(ge=FEWEST_EMBEDDING, le=MOST_EMBEDDING)
    preprocessing: Preprocessing


class CheckpointDescription(ModelDescription):
    """What our checkpoints hold besides the state dict; further keys are metadata."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]


class ExportDescription(ModelDescription):
    """What the JSON file beside an exported model says.

    Attributes:
        format: The model file's format.
        normalised: Whether its embeddings have length 1.
        metadata: The checkpoint's.
        sha256: The model file's digest; None if an older histsearch exported it.
    """

    format: ExportFormat
    normalised: bool
    metadata: dict[str, JsonValue]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


def description_path(model: Path) -> Path:
    """Where the JSON file of an exported model lies: beside it."""
    return model.with_name(model.name + ".json")


def faults_text(error: ValidationError) -> str:
    """What is wrong with a description, in words: the first fields, and what they hold."""
    faults = error.errors(include_url=False, include_context=False)
    texts = [_fault_text(fault["loc"], fault["msg"], fault["input"]) for fault in faults]
    more = [f"and {len(faults) - _SHOWN_FAULTS} more"] if len(faults) > _SHOWN_FAULTS else []
    return "; ".join([*texts[:_SHOWN_FAULTS], *more])


def _fault_text(place: tuple[int | str, ...], fault: str, found: object) -> str:
    field = ".".join(map(str, place[:_SHOWN_DEPTH]))
    return f"{field} = {_shown(found)}: {fault}" if field else fault


def _shown(value: object) -> str:
    """A value in a few characters, whatever it is."""
    if isinstance(value, str):
        return repr(value[:_SHOWN_CHARACTERS])
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= _SHOWN_BITS):
        return repr(value)
    return f"({type(value).__name__})"
