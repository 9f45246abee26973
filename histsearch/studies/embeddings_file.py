"""The file of a retrained trial's embeddings: those of its test, and of some training images.

It is a NumPy archive (.npz) without pickled objects. A report reads it, so it takes no torch.
"""

# N = images of a part, D = embedding size, C = classes, 5 = the nearest images

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from histsearch.exceptions import CheckpointError

MOST_TRAINING_IMAGES = 2000
"""Training images that are kept at most."""

NEAREST = 5
"""How many of the images nearest to a query are kept."""

_Arrays = Mapping[str, NDArray[Any]]

# What NumPy, zipfile and zlib raise where a file isn't as it was written.
_DAMAGED_FILE_ERRORS = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Embedded images of one part of a data set.

    Attributes:
        embedding_ND: (N, D) float16 embeddings, not normalised.
        label_N: (N,) int32, the class of each image, in 0..C-1.
        class_names: The classes of the part; one may have no image in it.
        path_N: The file of each image, relative to the folder of the data sets; "" where unknown.
    """

    embedding_ND: NDArray[np.float16]
    label_N: NDArray[np.int32]
    class_names: tuple[str, ...]
    path_N: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.label_N)


@dataclass(frozen=True, eq=False)
class EmbeddingsFile:
    """What a retraining keeps of its embeddings.

    Attributes:
        queries: The test images; with a gallery, its queries.
        gallery: The images that queries are ranked against (In-Shop); None where they are ranked
            against one another.
        train: A sample of the training images, its classes as evenly represented as can be.
        nearest_N5: (N, 5) int32, the five nearest images of each query, nearest first: places in
            the gallery, or among the queries; -1 where there are fewer. Of images that are equally
            near, those of another class come first.
        hit_N: (N,) whether the nearest image is of the query's class; R@1 is its mean.
        dataset: The data set's name.
    """

    queries: LabelledImages
    gallery: LabelledImages | None
    train: LabelledImages
    nearest_N5: NDArray[np.int32]
    hit_N: NDArray[np.bool_]
    dataset: str

    @property
    def ranked(self) -> LabelledImages:
        """The images that queries are ranked against."""
        return self.queries if self.gallery is None else self.gallery

    def class_recall(self) -> dict[str, float]:
        """R@1 of each test class that has queries, in [0, 1]."""
        queries = self.queries
        size_C = np.bincount(queries.label_N, minlength=len(queries.class_names))
        hits_C = np.bincount(queries.label_N[self.hit_N], minlength=len(queries.class_names))
        return {
            name: int(hits) / int(size)
            for name, hits, size in zip(queries.class_names, hits_C, size_C, strict=True)
            if size
        }


class _PartText(BaseModel):
    """The words of a part."""

    model_config = ConfigDict(extra="forbid", strict=True)

    class_names: list[str]
    paths: list[str]


class _Text(BaseModel):
    """The words of a file; its parts are "queries", "gallery" and "train"."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dataset: str
    parts: dict[str, _PartText]


def write_embeddings_file(file: BinaryIO, content: EmbeddingsFile) -> None:
    """Write embeddings to a file.

    Raises:
        OSError: The file can't be written.
    """
    parts = {"queries": content.queries, "gallery": content.gallery, "train": content.train}
    there = {name: part for name, part in parts.items() if part is not None}
    text = {
        "dataset": content.dataset,
        "parts": {
            name: {"class_names": part.class_names, "paths": part.path_N}
            for name, part in there.items()
        },
    }
    arrays: dict[str, NDArray[Any]] = {
        # In ASCII, with what no encoding knows of a file's name as an escape.
        "text": np.frombuffer(json.dumps(text).encode("ascii"), dtype=np.uint8),
        "nearest": content.nearest_N5,
        "hit": content.hit_N,
    }
    for name, part in there.items():
        arrays[f"{name}.embedding"] = part.embedding_ND
        arrays[f"{name}.label"] = part.label_N
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_embeddings_file(file: BinaryIO) -> EmbeddingsFile:
    """Read embeddings from a file, which is foreign until it is checked.

    Raises:
        CheckpointError: It is damaged, or no such file.
    """
    try:
        arrays = np.load(file, allow_pickle=False)
        if not isinstance(arrays, NpzFile):
            raise ValueError("it is no archive of arrays")
        return _content(arrays)
    except _DAMAGED_FILE_ERRORS as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise CheckpointError(
            f"found a damaged file of embeddings ({reason}); retrain the configuration to have "
            "them again"
        ) from error


def _content(arrays: _Arrays) -> EmbeddingsFile:
    text = _text(arrays["text"].tobytes())
    parts = {name: _part(arrays, name, words) for name, words in text.parts.items()}
    content = EmbeddingsFile(
        queries=parts["queries"],
        gallery=parts.get("gallery"),
        train=parts["train"],
        nearest_N5=arrays["nearest"],
        hit_N=arrays["hit"],
        dataset=text.dataset,
    )
    queries = len(content.queries)
    _check_array(content.nearest_N5, np.int32, (queries, NEAREST), "nearest")
    _check_array(content.hit_N, np.bool_, (queries,), "hit")
    _check_range(content.nearest_N5, -1, len(content.ranked), "nearest")
    return content


def _text(content: bytes) -> _Text:
    try:
        # pydantic's own reader of JSON refuses what no encoding knows of a file's name.
        return _Text.model_validate(json.loads(content.decode("ascii")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"text.{place}: {first['msg']}") from error


def _part(arrays: _Arrays, name: str, words: _PartText) -> LabelledImages:
    part = LabelledImages(
        embedding_ND=arrays[f"{name}.embedding"],
        label_N=arrays[f"{name}.label"],
        class_names=tuple(words.class_names),
        path_N=tuple(words.paths),
    )
    images = len(part.path_N)
    size = part.embedding_ND.shape[-1] if part.embedding_ND.ndim else 0
    _check_array(part.embedding_ND, np.float16, (images, size), f"{name}.embedding")
    _check_array(part.label_N, np.int32, (images,), f"{name}.label")
    _check_range(part.label_N, 0, len(part.class_names), f"{name}.label")
    return part


def _check_array(array: NDArray[Any], kind: type, shape: tuple[int, ...], name: str) -> None:
    if array.dtype != kind or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, expected {shape}")


def _check_range(array: NDArray[np.int32], least: int, end: int, name: str) -> None:
    if array.size and not (array.min() >= least and array.max() < end):
        raise ValueError(f"{name} holds numbers beyond {least}..{end - 1}")
