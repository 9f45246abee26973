"""Checkpoints: a trained embedding network in a file, with what is needed to use it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from pydantic import ValidationError
from torch import Tensor

from histsearch.exceptions import WeightsError
from histsearch.file_writing import whole_file
from histsearch.models.backbone import Backbone
from histsearch.models.description import (
    FEWEST_EMBEDDING,
    MOST_EMBEDDING,
    CheckpointDescription,
    ModelDescription,
    faults_text,
)
from histsearch.models.digest import save_with_digest
from histsearch.models.initial_weights import RANDOM_WEIGHTS
from histsearch.models.known_backbones import BACKBONES, find_backbone
from histsearch.models.network import EmbeddingNetwork, build_network
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.weights import (
    EMBEDDING_KEYS,
    find_state_dict,
    load_weights,
    read_content,
)

DESCRIPTION_KEY = "histsearch"
LOSS_KEY = "loss_state_dict"


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and its description.

    Attributes:
        network: The network in eval mode, on the CPU.
        backbone: Name of its backbone.
        embedding_size: D.
        preprocessing: The input images it was trained on.
        metadata: What was saved with it besides; empty for a published HIST checkpoint.
        has_digest: Whether its file carries a digest, so that damage to it would have been noticed.
        loss_state: The state dict of the loss that it was trained with, such as class means; empty
            for a published checkpoint and an exported file.
    """

    network: EmbeddingNetwork
    backbone: str
    embedding_size: int
    preprocessing: Preprocessing
    metadata: Mapping[str, Any]
    has_digest: bool = False
    loss_state: Mapping[str, Tensor] = field(default_factory=dict)


def write_checkpoint(
    file: BinaryIO,
    network: EmbeddingNetwork,
    *,
    backbone: Backbone,
    preprocessing: Preprocessing,
    embedding_size: int,
    extra: Mapping[str, Any],
    loss_state: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Write a trained network as the content of a file that `load_checkpoint` reads.

    Like the published HIST checkpoints it holds a "model_state_dict", and besides it a dict
    "histsearch" with backbone, embedding size, preprocessing and metadata, and a "loss_state_dict".
    It ends in a digest, and `torch.load(path, weights_only=True)` reads it too.

    Args:
        file: The file.
        network: The network to save.
        backbone: Its backbone.
        preprocessing: The input images it was trained on.
        embedding_size: D.
        extra: Metadata: numbers, strings, booleans, None, and lists and dicts of them.
        loss_state: The state dict of the loss that it was trained with.

    Raises:
        ValueError: `extra` holds something else.
        OSError: The file can't be written.
    """
    try:
        # Through JSON, so that every value is one that weights_only lets torch load.
        metadata = json.loads(json.dumps(dict(extra)))
    except TypeError as error:
        raise ValueError(f"extra can't be saved: {error}") from error
    description = {
        **metadata,
        "backbone": backbone.name,
        "embedding_size": embedding_size,
        "preprocessing": asdict(preprocessing),
    }
    parts = {
        "model_state_dict": _on_cpu(network.state_dict()),
        LOSS_KEY: _on_cpu(loss_state),
        DESCRIPTION_KEY: description,
    }
    save_with_digest(parts, file)


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # In the usual order of axes, whatever device the network was trained on.
    return {key: tensor.cpu().contiguous() for key, tensor in state.items()}


def save_checkpoint(
    path: Path,
    network: EmbeddingNetwork,
    *,
    backbone: Backbone,
    preprocessing: Preprocessing,
    embedding_size: int,
    extra: Mapping[str, Any],
    loss_state: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Save a trained network to a file, as `write_checkpoint` does.

    A file of that name is replaced once the new one is complete.

    Args:
        path: The file, in a folder that exists.
        network: The network to save.
        backbone: Its backbone.
        preprocessing: The input images it was trained on.
        embedding_size: D.
        extra: Metadata.
        loss_state: The state dict of the loss that it was trained with.

    Raises:
        WeightsError: The file can't be written.
        ValueError: `extra` can't be saved.
    """
    try:
        with whole_file(path) as file:
            write_checkpoint(
                file,
                network,
                backbone=backbone,
                preprocessing=preprocessing,
                embedding_size=embedding_size,
                extra=extra,
                loss_state=loss_state,
            )
    except OSError as error:
        raise WeightsError(
            f"checkpoint '{path}' can't be written: {error}; "
            "give a file in a folder that exists and has room"
        ) from error


def load_checkpoint(
    path: Path, backbone: str | None = None, *, name: str | None = None
) -> Checkpoint:
    """Load a trained network, saved by `save_checkpoint` or a published HIST checkpoint.

    Args:
        path: The file.
        backbone: Name of the network's backbone; found from the file if left out.
        name: What to call the file in an error; its path if left out.

    Raises:
        WeightsError: The file can't be read, isn't what its digest was made of, isn't a checkpoint
            of a whole embedding network, doesn't tell its backbone or has another than `backbone`.
        SpaceError: No backbone has that name, or it is timm's and timm is missing.
    """
    name = name or str(path)
    content, has_digest = read_content(path, name)
    state = find_state_dict(content, name)
    _check_embedding_layer(state, name)
    if isinstance(content, Mapping) and DESCRIPTION_KEY in content:
        description = _read_description(content[DESCRIPTION_KEY], name)
    else:
        description = _infer_description(state, name, backbone)
    if backbone not in (None, description.backbone):
        raise WeightsError(f"'{name}' has the backbone {description.backbone}, not {backbone}")
    metadata = description.model_extra or {}
    checkpoint = restore_network(description, state, metadata, name, has_digest=has_digest)
    return replace(checkpoint, loss_state=_loss_state(content))


def restore_network(
    description: ModelDescription,
    state: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    name: str,
    *,
    has_digest: bool,
) -> Checkpoint:
    """Build the network that a file describes and fill it with the file's state dict.

    Args:
        description: Backbone, embedding size and preprocessing.
        state: Tensors by name.
        metadata: What else the file holds.
        name: What to call the file in an error.
        has_digest: Whether it carries a digest.

    Raises:
        WeightsError: The state dict isn't that of the network.
        SpaceError: No backbone has that name, or it is timm's and timm is missing.
    """
    backbone = find_backbone(description.backbone)
    network = build_network(backbone, description.embedding_size, weights=RANDOM_WEIGHTS)
    load_weights(network, state, backbone, source=f"the weights in '{name}'")
    return Checkpoint(
        network=network.eval(),
        backbone=backbone.name,
        embedding_size=description.embedding_size,
        preprocessing=description.preprocessing,
        metadata=metadata,
        has_digest=has_digest,
    )


def _loss_state(content: object) -> Mapping[str, Tensor]:
    state = content.get(LOSS_KEY) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        return {}
    return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}


def _check_embedding_layer(state: Mapping[str, Tensor], name: str) -> None:
    key = EMBEDDING_KEYS[0]
    if key not in state:
        raise WeightsError(
            f"'{name}' has no embedding layer ({key}); "
            "give the checkpoint of a whole embedding network"
        )
    weight = state[key]
    if weight.ndim != 2 or not FEWEST_EMBEDDING <= len(weight) <= MOST_EMBEDDING:
        raise WeightsError(
            f"found {key} of shape {tuple(weight.shape)} in '{name}', allowed: embeddings of "
            f"{FEWEST_EMBEDDING} to {MOST_EMBEDDING} elements; give the checkpoint of a whole "
            "embedding network"
        )


def _read_description(content: object, name: str) -> ModelDescription:
    try:
        return CheckpointDescription.model_validate(content)
    except ValidationError as error:
        raise WeightsError(
            f"the description in checkpoint '{name}' can't be read: {faults_text(error)}; "
            "give a file that histsearch saved"
        ) from error


def _infer_description(
    state: Mapping[str, Tensor], name: str, backbone: str | None
) -> ModelDescription:
    inferred = [one for one in BACKBONES.values() if one.published_key in state]
    if backbone is None and not inferred:
        known = " or ".join(one.name for one in BACKBONES.values() if one.published_key)
        raise WeightsError(
            f"'{name}' doesn't tell its backbone, and its keys aren't those of {known}; "
            "give a checkpoint that histsearch saved, a published one of HIST, or an exported file "
            "with its JSON file beside it"
        )
    found = find_backbone(backbone) if backbone else inferred[0]
    return ModelDescription(
        backbone=found.name,
        embedding_size=len(state[EMBEDDING_KEYS[0]]),
        preprocessing=found.preprocessing,
    )
