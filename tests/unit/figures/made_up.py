"""Searches and embeddings made up for the figures."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.searched_study import SearchedStudy, SearchedTrial
from histsearch.space.parameters import Parameter
from histsearch.studies.embeddings_file import EmbeddingsFile, LabelledImages
from histsearch.studies.stages import TrialStage

SEARCH: dict[str, Parameter] = {"tau": (4, 8, 16), "alpha": (0.9, 1.1)}
HOSTILE = "$\\alpha$ </svg><script>\n\x1b[31m"


def trial(
    number: int,
    scores: Sequence[float],
    params: Mapping[str, Any] | None = None,
    stage: TrialStage = TrialStage.COMPLETE,
    *,
    hours: float = 0.0,
    ended: datetime | None = None,
) -> SearchedTrial:
    """A trial with a score after each epoch."""
    return SearchedTrial(
        number,
        stage,
        {"tau": 4, "alpha": 0.9} if params is None else params,
        dict(enumerate(scores, start=1)),
        max(scores, default=None),
        hours,
        ended,
    )


def search(
    *trials: SearchedTrial,
    winner: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Parameter] = SEARCH,
) -> SearchedStudy:
    """A search of these trials."""
    return SearchedStudy("R@1", "validation classes", parameters, trials, winner, "CPU hours")


def images(
    embeddings: Sequence[Sequence[float]], labels: Sequence[int], names: Sequence[str]
) -> LabelledImages:
    """Embedded images, the file of each called by its place."""
    return LabelledImages(
        np.array(embeddings, dtype=np.float16),
        np.array(labels, dtype=np.int32),
        tuple(names),
        tuple(f"{place}.jpg" for place in range(len(labels))),
    )


def embeddings(
    labels: Sequence[int],
    names: Sequence[str],
    nearest: Sequence[Sequence[int]],
    gallery: LabelledImages | None = None,
) -> EmbeddingsFile:
    """Queries with their nearest, in the order of their labels on a line; one training class."""
    queries = images([[1.0, float(label)] for label in labels], labels, names)
    ranked = queries if gallery is None else gallery
    hits = [
        row[0] >= 0 and ranked.class_names[ranked.label_N[row[0]]] == names[label]
        for row, label in zip(nearest, labels, strict=True)
    ]
    return EmbeddingsFile(
        queries,
        gallery,
        images([[1.0, 0.5], [1.0, 0.6]], [0, 0], ["train"]),
        np.array(nearest, dtype=np.int32),
        np.array(hits, dtype=np.bool_),
        "cub200",
    )


def clusters(
    rng: np.random.Generator, classes: int, size: int, *, prefix: str = "class"
) -> LabelledImages:
    """Classes far apart from one another, each with some images near together."""
    labels = np.repeat(np.arange(classes), size)
    centre_CD = 10.0 * rng.normal(size=(classes, 16))
    return images(
        (centre_CD[labels] + 0.1 * rng.normal(size=(len(labels), 16))).tolist(),
        labels.tolist(),
        [f"{prefix}{number}" for number in range(classes)],
    )


def drawn(result: Drawn | Missing) -> Drawn:
    """The same, which must have been drawn."""
    assert isinstance(result, Drawn), result
    return result


def reason(result: Drawn | Missing) -> str:
    """Why nothing was drawn."""
    assert isinstance(result, Missing), result
    return result.reason
