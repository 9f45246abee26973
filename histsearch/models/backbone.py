"""What is known of a backbone: its name, its input, how it is built and filled.

The record of a backbone imports no torch; its functions do when they are called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from histsearch.exceptions import WeightsError
from histsearch.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Download:
    """Pretrained weights that can be fetched.

    Attributes:
        fetch: Returns their state dict, out of the cache of torch's hub or of timm's where it is
            there already.
    """

    fetch: Callable[[], "dict[str, Tensor]"]


@dataclass(frozen=True)
class PublishedFile:
    """Pretrained weights that a user has to download.

    Attributes:
        name: Name of their file.
    """

    name: str


@dataclass(frozen=True)
class ImageSizes:
    """Which square images a network takes.

    Attributes:
        hold: Tells whether it takes images of so many pixels a side.
        words: Which it takes, in words.
    """

    hold: Callable[[int], bool]
    words: str


@dataclass(frozen=True, repr=False)
class Backbone:
    """A network that maps images to a feature map.

    Attributes:
        name: Name used in search spaces and on the command line.
        build: Returns the module with random weights. It maps images (N, 3, H, W) to a feature
            map (N, features, P, Q), and isn't an `nn.Sequential`: the embedding layer becomes a
            submodule of it.
        features: Channels of the feature map.
        preprocessing: The input images that it was made for.
        pretrained: How its pretrained weights are had; None where there are none.
        image_sizes: Which others it takes; of any size where left out.
        classifiers: Names of the layers that its weights files have and the module leaves out.
        weights_prefix: What the module's keys have before those of its weights files.
        published_key: The key by which a published HIST checkpoint, which doesn't name its
            backbone, is known to have this one; None where none was published.
    """

    name: str
    build: Callable[[], "nn.Module"]
    features: int
    preprocessing: Preprocessing
    pretrained: Download | PublishedFile | None
    image_sizes: ImageSizes = ImageSizes(lambda side: side >= 1, "1 or more")
    classifiers: tuple[str, ...] = ()
    weights_prefix: str = ""
    published_key: str | None = None

    def __repr__(self) -> str:
        # Settings written out tell one run from another, in every process.
        return repr(self.name)

    def download(self) -> Download:
        """Return how its pretrained weights are fetched.

        Raises:
            WeightsError: They can't be.
        """
        match self.pretrained:
            case Download():
                return self.pretrained
            case PublishedFile(name):
                instead = f"give the path of its file {name}"
            case None:
                instead = "use 'none' or give the path of a file"
            case _:
                assert_never(self.pretrained)
        raise WeightsError(f"{self.name} has no pretrained weights to download; {instead}")
