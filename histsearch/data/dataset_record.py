"""What is known of a data set before it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from histsearch.data.image_set import ImageSet
from histsearch.data.layouts import Layout
from histsearch.wording import counted


class Size(NamedTuple):
    """How many classes a set of images has, and how many images."""

    classes: int
    images: int

    def __str__(self) -> str:
        return f"{counted(self.images, 'image')} in {counted(self.classes, 'class')}"


class Halves(NamedTuple):
    """What a reader returns: two halves that share no class.

    Attributes:
        train: The training half.
        test: The test half; with a gallery, its query images.
        gallery: The images that queries are ranked against, labelled as ``test`` is; None where
            queries are ranked against one another.
        remarks: What a user should know of how they were read, such as which files were skipped.
    """

    train: ImageSet
    test: ImageSet
    gallery: ImageSet | None = None
    remarks: tuple[str, ...] = ()


def _no_list(_: Path) -> list[Path]:
    return []


@dataclass(frozen=True)
class DatasetRecord:
    """What is known of a data set before it is read.

    Attributes:
        name: As a space names it.
        read: Reads it from the folder of the data sets.
        recall_ks: The K of every R@K that papers report for it.
        nmi_repeats: Number of clusterings whose mean NMI papers report for it.
        layouts: What its reader needs and which official archives hold that, once for each form
            that it was distributed in; nothing where there are no archives.
        published: Sizes of its parts as its paper gives them, by the names of `Dataset.parts`;
            nothing where no paper does.
        listed: The images that an official list names which the reader doesn't need, as paths
            below the folder of the data sets; nothing where there is no such list.
    """

    name: str
    read: Callable[[Path], Halves]
    recall_ks: tuple[int, ...]
    nmi_repeats: int
    layouts: tuple[Layout, ...] = ()
    published: Mapping[str, Size] = field(default_factory=dict)
    listed: Callable[[Path], list[Path]] = _no_list
