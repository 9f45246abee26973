"""Weights files and how they enter an embedding network."""

import http.client
import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights

from histsearch.exceptions import WeightsError
from histsearch.models.architecture import Architecture

EMBEDDING_KEYS = ("model.embedding.weight", "model.embedding.bias")
NETWORK_PREFIX = "model."
NAMED_KEYS = 3

# Torch reads a file before it has checked it, so a damaged one fails wherever its bytes lead.
DAMAGED_FILE_ERRORS = (
    AssertionError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)
FETCH_ERRORS = (OSError, http.client.HTTPException, *DAMAGED_FILE_ERRORS)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a `.safetensors` file or one that `torch.save` wrote.

    A checkpoint that holds its state dict under "model_state_dict" gives that one.

    Raises:
        WeightsError: The file can't be read, or holds no state dict.
    """
    return find_state_dict(read_content(path), path)


def read_content(path: Path) -> object:
    """Read everything that a `.safetensors` file holds or that `torch.save` wrote to a file.

    Raises:
        WeightsError: The file can't be read, or holds objects that only running code could load.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def find_state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file's content: the content itself, or its "model_state_dict".

    Raises:
        WeightsError: The content of the file at `path` holds no state dict.
    """
    if isinstance(content, Mapping):
        content = content.get("model_state_dict", content)
    if not _is_state_dict(content):
        raise WeightsError(
            f"weights file '{path}' holds no state dict; "
            "give a file of named tensors, or a checkpoint with them under 'model_state_dict'"
        )
    return dict(content)


def fetch_resnet50_weights() -> dict[str, Tensor]:
    """Fetch torchvision's ResNet-50 weights IMAGENET1K_V1 through torch's hub cache.

    Raises:
        WeightsError: They aren't in the cache and can't be downloaded.
    """
    try:
        state: dict[str, Tensor] = ResNet50_Weights.IMAGENET1K_V1.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except FETCH_ERRORS as error:
        raise unfetchable_weights("resnet50", error) from error
    return state


def unfetchable_weights(backbone: str, error: Exception) -> WeightsError:
    """Return the error that tells why a backbone's pretrained weights can't be had."""
    return WeightsError(
        f"the pretrained weights of {backbone} can't be fetched ({error}); "
        "give the path of a file, or 'none' for a random start"
    )


def load_weights(
    network: nn.Module,
    state: Mapping[str, Tensor],
    architecture: Architecture,
    *,
    source: str,
    backbone: str,
) -> None:
    """Copy a state dict into an embedding network.

    The state dict is that of a whole embedding network, with the keys of the published HIST
    checkpoints, or of a backbone alone, with the keys of its own weights files; the embedding
    layer then keeps its values. Classifier layers are passed over. Vectors with a leading
    dimension of 1, as in the Caffe conversion of BN-Inception, lose it.

    Args:
        network: The network to change.
        state: Tensors by name.
        architecture: The backbone's.
        source: What to call the weights in an error.
        backbone: What to call the network in an error.

    Raises:
        WeightsError: Keys are missing or unexpected, or shapes differ. The network is unchanged.
    """
    expected = network.state_dict()
    given = _under_network_keys(state, expected, architecture)
    optional = () if any(key in given for key in EMBEDDING_KEYS) else EMBEDDING_KEYS
    missing = [
        key
        for key in expected
        if key not in given
        and key not in optional
        # Files older than the counter lack it, and nothing reads it.
        and not key.endswith(".num_batches_tracked")
    ]
    unexpected = [key for key in given if key not in expected]
    misshapen = [
        f"{key} is {_shape(given[key])}, not {_shape(tensor)}"
        for key, tensor in expected.items()
        if key in given and given[key].shape != tensor.shape
    ]
    problems = [
        *_problem("missing keys", missing),
        *_problem("unexpected keys", unexpected),
        *_problem("other shapes", misshapen),
    ]
    if problems:
        raise WeightsError(
            f"{source} don't fit {backbone}: {'; '.join(problems)}; "
            "give a file made for this backbone and, if it has one, this embedding size"
        )
    network.load_state_dict(given, strict=False)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise _unreadable(path, error) from error


def _read_torch(path: Path) -> object:
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, *DAMAGED_FILE_ERRORS) as error:
        raise _unreadable(path, error) from error
    return content


def _unreadable(path: Path, error: Exception) -> WeightsError:
    damaged = "it's damaged, of another format or holds more than tensors"
    reason = str(error) if isinstance(error, OSError) else damaged
    return WeightsError(
        f"weights file '{path}' can't be read: {reason}; "
        "give a .safetensors file or a state dict that torch.save wrote"
    )


def _is_state_dict(content: object) -> TypeGuard[Mapping[str, Tensor]]:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(key, str) for key in content)
        and all(isinstance(tensor, Tensor) for tensor in content.values())
    )


def _under_network_keys(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], architecture: Architecture
) -> dict[str, Tensor]:
    prefix = f"{NETWORK_PREFIX}{architecture.weights_prefix}"
    classifiers = tuple(f"{prefix}{name}." for name in architecture.classifiers)
    given = {}
    for name, tensor in state.items():
        key = name if name.startswith(NETWORK_PREFIX) else f"{prefix}{name}"
        if key.startswith(classifiers):
            continue
        squeezable = key in expected and tensor.shape == (1, *expected[key].shape)
        given[key] = tensor[0] if squeezable else tensor
    return given


def _problem(name: str, entries: Sequence[str]) -> list[str]:
    if not entries:
        return []
    more = ", …" if len(entries) > NAMED_KEYS else ""
    return [f"{len(entries)} {name} ({', '.join(entries[:NAMED_KEYS])}{more})"]


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a scalar"
