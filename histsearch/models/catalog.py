"""The backbones a study can choose from, described without importing torch."""

from dataclasses import dataclass
from pathlib import Path

from histsearch.exceptions import SpaceError, WeightsError
from histsearch.models.preprocessing import Preprocessing

RANDOM_WEIGHTS = "none"
PRETRAINED_WEIGHTS = "pretrained"


@dataclass(frozen=True)
class Backbone:
    """A convolutional network that maps images to a feature map.

    Attributes:
        name: Name used in search spaces and on the command line.
        features: Channels of the feature map.
        pretrained: Whether training is meant to start from pretrained weights.
        preprocessing: The input images it expects.
        instead_of_pretrained: What to give as weights where "pretrained" names none that can be
            fetched; None where it does.
    """

    name: str
    features: int
    pretrained: bool
    preprocessing: Preprocessing
    instead_of_pretrained: str | None = None


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            name="resnet50",
            features=2048,
            pretrained=True,
            preprocessing=Preprocessing(
                resize=256,
                crop=224,
                mean=(0.485, 0.456, 0.406),
                std=(0.229, 0.224, 0.225),
            ),
        ),
        Backbone(
            name="bn_inception",
            features=1024,
            pretrained=True,
            preprocessing=Preprocessing(
                resize=256,
                crop=224,
                mean=(104.0, 117.0, 128.0),
                std=(1.0, 1.0, 1.0),
                channel_order="bgr",
                value_range=255.0,
            ),
            instead_of_pretrained="give the path of its file bn_inception-52deb4733.pth",
        ),
        Backbone(
            name="conv4",
            features=128,
            pretrained=False,
            preprocessing=Preprocessing(
                resize=36,
                crop=32,
                mean=(0.5, 0.5, 0.5),
                std=(0.5, 0.5, 0.5),
                # A small drawing loses what tells it from others in a smaller crop.
                min_crop_area=0.5,
            ),
            instead_of_pretrained="use 'none' or give the path of a file",
        ),
    )
}


def find_backbone(name: str) -> Backbone:
    """Return the backbone called `name`.

    Raises:
        SpaceError: No backbone has that name.
    """
    if name not in BACKBONES:
        known = ", ".join(BACKBONES)
        raise SpaceError(f"backbone '{name}' isn't known; known are {known}")
    return BACKBONES[name]


def locate_weights(weights: str, folder: Path) -> str:
    """Return `weights` with a relative path completed: files are looked for below `folder`."""
    if weights in (RANDOM_WEIGHTS, PRETRAINED_WEIGHTS):
        return weights
    return str(folder / Path(weights).expanduser())


def check_weights(backbone: str, weights: str) -> None:
    """Refuse weights that `build_network` couldn't find, without reading or fetching them.

    Args:
        backbone: Name of a backbone.
        weights: "none", "pretrained" or the path of a file.

    Raises:
        SpaceError: No backbone has that name.
        WeightsError: The named file doesn't exist, or the backbone has no pretrained weights
            that could be fetched.
    """
    instead = find_backbone(backbone).instead_of_pretrained
    if weights == RANDOM_WEIGHTS:
        return
    if weights == PRETRAINED_WEIGHTS:
        if instead is not None:
            raise WeightsError(f"{backbone} has no pretrained weights to download; {instead}")
        return
    if not Path(weights).is_file():
        raise WeightsError(
            f"weights file '{weights}' doesn't exist; "
            "give the path of a file, or 'none' for a random start"
        )
