"""The embeddings that a retraining keeps, in the form of their file."""

# N = images, D = embedding size, 5 = the nearest images

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histsearch.data.dataset import Dataset
from histsearch.data.even_sample import even_sample
from histsearch.data.image_set import ImageSet
from histsearch.studies.embeddings_file import (
    MOST_TRAINING_IMAGES,
    EmbeddingsFile,
    LabelledImages,
)
from histsearch.training.evaluation import EmbeddedImages

_SAMPLE_SEED = 0

# Numbers of float16 are at most 65,504, and those below 6e-5 lose digits.
_LARGEST = float(np.finfo(np.float16).max)
_LEAST_LARGEST = 2.0**-4


def training_sample(images: ImageSet) -> ImageSet:
    """The training images whose embeddings are kept: the same for all runs on a data set.

    They are decoded for this once, and no cache keeps them in the form of test images.
    """
    sample = even_sample(images.labels_N, MOST_TRAINING_IMAGES, _SAMPLE_SEED)
    return images.take(sample).with_cache(None)


@dataclass(frozen=True)
class EmbeddedParts:
    """Embeddings of the parts of a data set.

    Attributes:
        test: The test images, with their gallery where there is one.
        nearest_N5: (N, 5) places of the images nearest to each query; -1 where there are fewer.
        sample: Training images.
        sample_ND: (N, D) their embeddings.
    """

    test: EmbeddedImages
    nearest_N5: Tensor
    sample: ImageSet
    sample_ND: Tensor

    def to_file(self, dataset: Dataset, data_dir: Path) -> EmbeddingsFile:
        """What is kept of them.

        Args:
            dataset: Whose test images they are.
            data_dir: The folder of the data sets, to which paths are relative.
        """
        gallery_MD = self.test.gallery_MD
        parts = [(dataset.test, self.test.query_ND), (self.sample, self.sample_ND)]
        if dataset.gallery is not None and gallery_MD is not None:
            parts.append((dataset.gallery, gallery_MD))
        halves = _halves([embeddings_ND for _, embeddings_ND in parts])
        queries, train, *gallery = (
            _labelled(images, half_ND, data_dir)
            for (images, _), half_ND in zip(parts, halves, strict=True)
        )
        nearest_N5 = self.nearest_N5.cpu().numpy().astype(np.int32)
        ranked = gallery[0] if gallery else queries
        nearest_N = nearest_N5[:, 0]
        return EmbeddingsFile(
            queries=queries,
            gallery=gallery[0] if gallery else None,
            train=train,
            nearest_N5=nearest_N5,
            hit_N=(nearest_N >= 0) & (ranked.label_N[nearest_N] == queries.label_N),
            dataset=dataset.name,
        )


def _labelled(
    images: ImageSet, embedding_ND: NDArray[np.float16], data_dir: Path
) -> LabelledImages:
    paths = tuple(
        path.relative_to(data_dir).as_posix() if path.is_relative_to(data_dir) else ""
        for path in images.paths
    )
    return LabelledImages(
        embedding_ND,
        images.labels_N.astype(np.int32),
        images.class_names,
        paths or ("",) * len(images),
    )


def _halves(parts: Sequence[Tensor]) -> list[NDArray[np.float16]]:
    """Return parts in float16; where that can't hold them, all are scaled by one power of 2.

    Similarities and ratios of distances stay as they are.
    """
    largest = max(float(part_ND.abs().max()) for part_ND in parts)
    scale = 1.0
    if largest and not _LEAST_LARGEST <= largest <= _LARGEST:
        scale = 2.0 ** -np.frexp(largest)[1]
    return [(part_ND * scale).to(torch.float16).cpu().numpy() for part_ND in parts]
