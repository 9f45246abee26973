"""Weights files and how they enter an embedding network."""

import http.client
import pickle
import stat
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeGuard

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from histsearch.exceptions import WeightsError
from histsearch.models.archive import archive_members
from histsearch.models.backbone import Backbone
from histsearch.models.digest import DamagedError, check_digest

EMBEDDING_KEYS = ("model.embedding.weight", "model.embedding.bias")
NETWORK_PREFIX = "model."
NAMED_KEYS = 3

# Torch reads a file before it has checked it, so a damaged one fails wherever its bytes lead.
DAMAGED_FILE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)
_FETCH_ERRORS = (OSError, http.client.HTTPException, *DAMAGED_FILE_ERRORS)


class Content(NamedTuple):
    """What a file of weights holds.

    Attributes:
        value: What was saved to it.
        has_digest: Whether it carries a digest, which it then fits.
    """

    value: object
    has_digest: bool


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a `.safetensors` file or one that `torch.save` wrote.

    A checkpoint that holds its state dict under "model_state_dict" gives that one.

    Raises:
        WeightsError: The file can't be read, or holds no state dict.
    """
    return find_state_dict(read_content(path).value, str(path))


def read_content(path: Path, name: str | None = None) -> Content:
    """Read everything that a `.safetensors` file holds or that `torch.save` wrote to a file.

    Args:
        path: The file.
        name: What to call it in an error; its path if left out.

    Raises:
        WeightsError: The file can't be read, isn't what its digest was made of, or holds objects
            that only running code could load.
    """
    name = name or str(path)
    check_readable(path, name)
    if path.suffix == ".safetensors":
        return Content(_read_safetensors(path, name), has_digest=False)
    has_digest = _check_digest(path, name)
    return Content(_read_torch(path, name), has_digest)


def check_readable(path: Path, name: str) -> None:
    """Refuse what can't hold a model, before anything waits for its content.

    Raises:
        WeightsError: There is no such file, it is empty, or it is a folder, a pipe or a device.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(name, error.strerror or str(error)) from error
    if stat.S_ISDIR(status.st_mode):
        raise _unreadable(name, "it's a folder")
    if not stat.S_ISREG(status.st_mode):
        raise _unreadable(name, "it's no regular file")
    if not status.st_size:
        raise _unreadable(name, "it's empty")


def find_state_dict(content: object, name: str) -> dict[str, Tensor]:
    """Return the state dict in a file's content: the content itself, or its "model_state_dict".

    Raises:
        WeightsError: The content of the file called `name` holds no state dict.
    """
    if isinstance(content, Mapping):
        content = content.get("model_state_dict", content)
    if not _is_state_dict(content):
        raise WeightsError(
            f"weights file '{name}' holds no state dict; "
            "give a file of named tensors, or a checkpoint with them under 'model_state_dict'"
        )
    return dict(content)


def fetch_weights(backbone: Backbone) -> dict[str, Tensor]:
    """Fetch a backbone's pretrained weights.

    Raises:
        WeightsError: They can't be fetched, or aren't in the cache and can't be downloaded.
    """
    download = backbone.download()
    try:
        return download.fetch()
    except _FETCH_ERRORS as error:
        raise WeightsError(
            f"the pretrained weights of {backbone.name} can't be fetched ({error}); "
            "give the path of a file, or 'none' for a random start"
        ) from error


def load_weights(
    network: nn.Module,
    state: Mapping[str, Tensor],
    backbone: Backbone,
    *,
    source: str,
) -> None:
    """Copy a state dict into an embedding network.

    The state dict is that of a whole embedding network, with the keys of the published HIST
    checkpoints, or of a backbone alone, with the keys of its own weights files; the embedding
    layer then keeps its values. Classifier layers are passed over. Vectors with a leading
    dimension of 1, as in the Caffe conversion of BN-Inception, lose it.

    Args:
        network: The network to change.
        state: Tensors by name.
        backbone: The network's.
        source: What to call the weights in an error.

    Raises:
        WeightsError: Keys are missing or unexpected, shapes differ, or a tensor is sparse, complex
            or the like. The network is unchanged.
    """
    expected = network.state_dict()
    given = _under_network_keys(state, expected, backbone)
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
    odd = [key for key, tensor in given.items() if key in expected and not _is_plain(tensor)]
    problems = [
        *_problem("missing keys", missing),
        *_problem("unexpected keys", unexpected),
        *_problem("other shapes", misshapen),
        *_problem("tensors that don't hold real numbers one by one", odd),
    ]
    if problems:
        raise WeightsError(
            f"{source} don't fit {backbone.name}: {'; '.join(problems)}; "
            "give a file made for this backbone and, if it has one, this embedding size"
        )
    network.load_state_dict(given, strict=False)


def _check_digest(path: Path, name: str) -> bool:
    try:
        with path.open("rb") as file:
            return check_digest(file)
    except OSError as error:
        raise _unreadable(name, error.strerror or str(error)) from error
    except DamagedError as error:
        raise WeightsError(
            f"'{name}' is damaged: its digest isn't that of its content; copy it again from where "
            "histsearch wrote it, or train it again"
        ) from error


def _read_safetensors(path: Path, name: str) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError, *DAMAGED_FILE_ERRORS) as error:
        raise _unreadable(name, str(error)) from error


def _read_torch(path: Path, name: str) -> object:
    if sum(archive_members(path).values()) > path.stat().st_size:
        raise _unreadable(name, "it's compressed, and may be of any size once unpacked")
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _unreadable(name, str(error)) from error
    except DAMAGED_FILE_ERRORS as error:
        damaged = "it's damaged, of another format or holds more than tensors"
        raise _unreadable(name, damaged) from error
    return content


def _unreadable(name: str, reason: str) -> WeightsError:
    return WeightsError(
        f"weights file '{name}' can't be read: {reason}; "
        "give a .safetensors file or a state dict that torch.save wrote"
    )


def _is_state_dict(content: object) -> TypeGuard[Mapping[str, Tensor]]:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(key, str) for key in content)
        and all(isinstance(tensor, Tensor) for tensor in content.values())
    )


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor stores real numbers that can be copied one by one."""
    return (
        tensor.layout == torch.strided
        and not tensor.is_meta
        and not (tensor.is_quantized or tensor.is_complex())
    )


def _under_network_keys(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], backbone: Backbone
) -> dict[str, Tensor]:
    prefix = f"{NETWORK_PREFIX}{backbone.weights_prefix}"
    classifiers = tuple(f"{prefix}{name}." for name in backbone.classifiers)
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
