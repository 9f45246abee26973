"""The backbones a study can choose from, known without importing torch."""

import re
import stat
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from histsearch.exceptions import SpaceError, WeightsError
from histsearch.folders import path_below

RANDOM_WEIGHTS = "none"
PRETRAINED_WEIGHTS = "pretrained"
WITHOUT_PRETRAINED = "use 'none' or give the path of a file"

# Any model of the timm package is a backbone under its name there, with its pretrained tag or
# without: timm:resnet18, timm:resnet18.a1_in1k.
TIMM_PREFIX = "timm:"
TIMM_NAME = re.compile(r"timm:[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)?")


@dataclass(frozen=True)
class Backbone:
    """A network that maps images to a feature map.

    Attributes:
        name: Name used in search spaces and on the command line.
        pretrained: Whether training is meant to start from pretrained weights.
        instead_of_pretrained: What to give as weights where "pretrained" names none that can be
            fetched; None where it does.
    """

    name: str
    pretrained: bool
    instead_of_pretrained: str | None = None


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone("resnet50", pretrained=True),
        Backbone(
            "bn_inception",
            pretrained=True,
            instead_of_pretrained="give the path of its file bn_inception-52deb4733.pth",
        ),
        Backbone("conv4", pretrained=False, instead_of_pretrained=WITHOUT_PRETRAINED),
    )
}


def find_backbone(name: str) -> Backbone:
    """Return the backbone called `name`.

    Of a timm model's name the form alone is checked; `check_weights` looks it up.

    Raises:
        SpaceError: No backbone has that name.
    """
    if TIMM_NAME.fullmatch(name):
        return Backbone(name, pretrained=True)
    if name not in BACKBONES:
        known = ", ".join(BACKBONES)
        raise SpaceError(
            f"backbone '{name}' isn't known; known are {known}, "
            "and timm:NAME for a model of timm such as timm:resnet18"
        )
    return BACKBONES[name]


def look_up_backbone(name: str) -> None:
    """Refuse a model that the timm of this machine can't give; without timm, or for others, none.

    Raises:
        SpaceError: timm has no such model, or it gives no feature map.
    """
    if TIMM_NAME.fullmatch(name) and find_spec("timm") is not None:
        check_weights(name, RANDOM_WEIGHTS)


def locate_weights(weights: str, folder: Path) -> str:
    """Return `weights` with a relative path completed: files are looked for below `folder`.

    Raises:
        WeightsError: The file can't be looked for, or none can have that name.
    """
    if weights in (RANDOM_WEIGHTS, PRETRAINED_WEIGHTS):
        return weights
    try:
        return str(path_below(folder, str(Path(weights).expanduser())))
    # With an unknown user's home folder, expanduser raises a RuntimeError.
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable(weights, error) from error


def check_weights(backbone: str, weights: str) -> None:
    """Refuse weights that `build_network` couldn't find, without reading or fetching them.

    Of the backbones, timm's models alone need torch to be checked; it is imported for them.

    Args:
        backbone: Name of a backbone.
        weights: "none", "pretrained" or the path of a file.

    Raises:
        SpaceError: No backbone has that name, or timm is needed and missing, or its model gives no
            feature map.
        WeightsError: The named file doesn't exist or can't be reached, or the backbone has no
            pretrained weights that could be fetched.
    """
    instead = _instead_of_pretrained(backbone)
    if weights == RANDOM_WEIGHTS:
        return
    if weights == PRETRAINED_WEIGHTS:
        if instead is not None:
            raise WeightsError(f"{backbone} has no pretrained weights to download; {instead}")
        return
    try:
        mode = Path(weights).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except (OSError, ValueError) as error:
        raise _unreachable(weights, error) from error
    if not stat.S_ISREG(mode):
        raise WeightsError(
            f"weights file '{weights}' doesn't exist; "
            "give the path of a file, or 'none' for a random start"
        )


def _unreachable(weights: str, error: Exception) -> WeightsError:
    reason = getattr(error, "strerror", None) or error
    return WeightsError(
        f"weights file '{weights}' can't be reached ({reason}); "
        "give the path of a file that can be read, or 'none' for a random start"
    )


def _instead_of_pretrained(backbone: str) -> str | None:
    instead = find_backbone(backbone).instead_of_pretrained
    if not backbone.startswith(TIMM_PREFIX):
        return instead
    from histsearch.models.timm_backbones import has_pretrained_weights

    return None if has_pretrained_weights(backbone) else WITHOUT_PRETRAINED
