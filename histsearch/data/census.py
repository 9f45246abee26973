"""Classes and images of the parts of a data set, and what a score on them can't tell."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any, Self

import numpy as np

from histsearch.data.dataset import Dataset
from histsearch.data.hold_out import HoldOut
from histsearch.data.image_set import ImageSet
from histsearch.data.queries import check_queries, lone_queries
from histsearch.wording import counted

# With fewer classes chance alone finds one image in ten, with fewer images one is worth over a
# point of a score.
_FEWEST_CLASSES = 10
_FEWEST_IMAGES = 100


@dataclass(frozen=True)
class Part:
    """The training, the validation or the test images of a run.

    Attributes:
        name: "training", "validation" or "test".
        classes: Classes that have an image; where there is a gallery, among the queries.
        images: Images; where there is a gallery, the queries alone.
        lone: Images that have no other of their class to find.
        gallery: Images that the queries are ranked against; None where these are ranked against
            one another.
    """

    name: str
    classes: int
    images: int
    lone: int
    gallery: int | None = None

    @classmethod
    def of(cls, name: str, images: ImageSet, gallery: ImageSet | None = None) -> Self:
        """Count images."""
        return cls(
            name=name,
            classes=len(np.unique(images.labels_N)),
            images=len(images),
            lone=lone_queries(images, gallery),
            gallery=None if gallery is None else len(gallery),
        )

    @property
    def image_points(self) -> float:
        """Points of a score that one image is worth."""
        return 100 / self.images

    @property
    def ranked(self) -> int:
        """Images that each query is ranked against."""
        return self.images - 1 if self.gallery is None else self.gallery

    @property
    def highest_score(self) -> float:
        """The highest score there can be, in [0, 1]: images without another of their class miss."""
        return (self.images - self.lone) / self.images

    @property
    def highest_percent(self) -> str:
        """The same in percent, cut and not rounded: what is below 100% isn't shown as that."""
        return f"{10_000 * (self.images - self.lone) // self.images / 100:g}%"

    def __str__(self) -> str:
        if self.gallery is None:
            return (
                f"{self.name} {counted(self.images, 'image')} in {counted(self.classes, 'class')}"
            )
        return (
            f"{self.name} {counted(self.images, 'query image')} in "
            f"{counted(self.classes, 'class')}, with {counted(self.gallery, 'gallery image')}"
        )

    def to_json(self) -> dict[str, Any]:
        """All of it, what follows from the counts too."""
        derived = {"image_points": self.image_points, "highest_score": self.highest_score}
        return asdict(self) | derived

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """As `to_json` wrote it."""
        return cls(**{key: kept[key] for key in ("name", "classes", "images", "lone", "gallery")})


@dataclass(frozen=True)
class Census:
    """The images that runs of a study train on and are judged by.

    Attributes:
        training: What is trained on.
        validation: What is held out of the training half; None where nothing is. Of several folds
            the one with the fewest images; ``training`` then is what runs on it train on.
        test: The test half.
        folds: What each fold holds out, where there are several.
    """

    training: Part
    validation: Part | None
    test: Part
    folds: tuple[Part, ...] = ()

    @property
    def parts(self) -> list[Part]:
        """All parts there are."""
        every = (self.training, self.validation, self.test)
        return [part for part in every if part is not None]

    @property
    def judge(self) -> Part:
        """The part by whose score configurations are chosen."""
        return self.validation or self.test

    def judge_of(self, fold: int) -> Part:
        """The part by whose score a run on a fold is judged."""
        return self.folds[fold] if self.folds else self.judge

    @property
    def highest_score(self) -> float:
        """The highest score of a configuration that there can be, in [0, 1], a mean over folds."""
        return fmean(part.highest_score for part in self.folds or (self.judge,))

    def warnings(self, delta: float | None = None) -> list[str]:
        """What a score on these images can't tell, a sentence each.

        Args:
            delta: The difference, in points, that a search is to decide; None for none.
        """
        found = []
        for part in self.parts[1:]:
            lowest = self._lowest_fold if self.folds and part == self.validation else part
            found += [cap_warning(lowest), _too_few(part)]
        if delta is not None:
            found.append(_too_fine(delta, self.judge))
        return [sentence for sentence in found if sentence is not None]

    @property
    def _lowest_fold(self) -> Part:
        """The fold on which scores are capped most."""
        number = min(range(len(self.folds)), key=lambda fold: self.folds[fold].highest_score)
        return replace(self.folds[number], name=f"fold-{number} validation")

    def __str__(self) -> str:
        _, first, *others = self.parts
        worth = [f"one {first.name} image is worth {first.image_points:.3g} points"]
        worth += [f"one {part.name} image {part.image_points:.3g}" for part in others]
        counts = [f"{part}{self.remark_on(part)}" for part in self.parts]
        return f"{'; '.join(counts)}; {', '.join(worth)}"

    def remark_on(self, part: Part) -> str:
        """What is to be said beside a part's counts; empty for nothing."""
        smallest = self.folds and part == self.validation
        return f" (the smallest of {len(self.folds)} folds)" if smallest else ""

    def to_json(self) -> dict[str, Any]:
        """Each part by its name."""
        validation = None if self.validation is None else self.validation.to_json()
        return {
            "training": self.training.to_json(),
            "validation": validation,
            "test": self.test.to_json(),
            "folds": [part.to_json() for part in self.folds],
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """As `to_json` wrote it."""
        validation = kept["validation"]
        return cls(
            Part.from_json(kept["training"]),
            None if validation is None else Part.from_json(validation),
            Part.from_json(kept["test"]),
            tuple(Part.from_json(part) for part in kept.get("folds", ())),
        )


def take_census(dataset: Dataset, hold_out: HoldOut | None) -> Census:
    """Count the images of a data set as a study divides it.

    Args:
        dataset: The data set.
        hold_out: Which classes validate; None where nothing is held out.

    Raises:
        DataError: There are too few training classes to hold any out, or no image to validate or
            to test by has another of its class to find.
    """
    # Images that can't be read may have been left out since it was loaded.
    check_queries("test", dataset.test, dataset.gallery)
    test = Part.of("test", dataset.test, dataset.gallery)
    if hold_out is None:
        return Census(Part.of("training", dataset.train), None, test)
    splits = [hold_out.split(dataset.train, fold) for fold in range(hold_out.folds)]
    folds = tuple(Part.of("validation", validation) for _, validation in splits)
    smallest = min(range(hold_out.folds), key=lambda fold: folds[fold].images)
    return Census(
        Part.of("training", splits[smallest][0]),
        folds[smallest],
        test,
        folds if hold_out.folds > 1 else (),
    )


def cap_warning(part: Part) -> str | None:
    """That no score on a part can reach 100%; None if one can."""
    if not part.lone:
        return None
    kind, others = ("images", "no other image of their class")
    if part.gallery is not None:
        kind, others = ("queries", "no image of their class in the gallery")
    return (
        f"{part.lone:,} of {part.images:,} {part.name} {kind} have {others} and always miss, so "
        f"no score can exceed {part.highest_percent}; add images, or leave such classes out"
    )


def _too_few(part: Part) -> str | None:
    if part.classes >= _FEWEST_CLASSES and part.images >= _FEWEST_IMAGES:
        return None
    return (
        f"{counted(part.images, f'{part.name} image')} in {counted(part.classes, 'class')} are "
        f"too few to rank by, as one is worth {part.image_points:.3g} points; have at least "
        f"{_FEWEST_CLASSES} classes and {_FEWEST_IMAGES} images"
    )


def _too_fine(delta: float, part: Part) -> str | None:
    if delta >= part.image_points:
        return None
    return (
        f"delta is {delta:g} points, less than the {part.image_points:.3g} that one {part.name} "
        f"image is worth; set it to {math.ceil(100 * part.image_points) / 100:g} or more, or have "
        f"more {part.name} images"
    )
