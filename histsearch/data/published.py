"""Sizes of the official data sets as their papers give them."""

from typing import NamedTuple

from histsearch.wording import counted


class Size(NamedTuple):
    """How many classes a set of images has, and how many images."""

    classes: int
    images: int

    def __str__(self) -> str:
        return f"{counted(self.images, 'image')} in {counted(self.classes, 'class')}"


PUBLISHED: dict[str, dict[str, Size]] = {
    "cub200": {"train": Size(100, 5_864), "test": Size(100, 5_924)},
    "cars196": {"train": Size(98, 8_054), "test": Size(98, 8_131)},
    "sop": {"train": Size(11_318, 59_551), "test": Size(11_316, 60_502)},
    "inshop": {
        "train": Size(3_997, 25_882),
        "query": Size(3_985, 14_218),
        "gallery": Size(3_985, 12_612),
    },
}
"""Sizes of the parts of each official data set.

The counts of CUB-200-2011 (Wah et al. 2011) and Cars-196 (Krause et al. 2013) are those of the
first and the second half of their classes. Those of Stanford Online Products are in Oh Song et al.
(CVPR 2016), those of In-Shop in Liu et al. (CVPR 2016); the query and the gallery images of In-Shop
show the same 3,985 items.
"""
