"""The weights that training starts from, as a space names them."""

import stat
from pathlib import Path

from histsearch.exceptions import WeightsError
from histsearch.folders import path_below
from histsearch.models.backbone import Backbone

RANDOM_WEIGHTS = "none"
PRETRAINED_WEIGHTS = "pretrained"


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


def check_weights(backbone: Backbone, weights: str) -> None:
    """Refuse weights that `build_network` couldn't find, without reading or fetching them.

    Args:
        backbone: The backbone they are for.
        weights: "none", "pretrained" or the path of a file.

    Raises:
        WeightsError: The named file doesn't exist or can't be reached, or the backbone has no
            pretrained weights that could be fetched.
    """
    if weights == RANDOM_WEIGHTS:
        return
    if weights == PRETRAINED_WEIGHTS:
        backbone.download()
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
