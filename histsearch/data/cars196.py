"""Cars-196 (Krause et al. 2013): 196 classes, 16,185 images.

It was distributed twice: all images in one folder with one file of annotations, and as the two
halves of a classification task, each with a folder and a file of its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from histsearch.data.class_split import ListedImage, split_by_class_id
from histsearch.data.image_set import ImageSet
from histsearch.exceptions import DataError

_LAST_TRAINING_CLASS = 98
_HALVES = {
    "cars_train": "cars_train_annos.mat",
    "cars_test": "cars_test_annos_withlabels.mat",
}
# The archive of annotations has a folder of this name.
_DEVKIT = "devkit"


def read_cars196(data_dir: Path) -> tuple[ImageSet, ImageSet]:
    """Read the images that ``cars196`` annotates; classes 1 to 98 train, later ones test.

    That is ``cars_annos.mat`` with ``car_ims``, or ``cars_train_annos.mat`` with ``cars_train`` and
    ``cars_test_annos_withlabels.mat`` with ``cars_test``, the two files also in ``devkit``. Of the
    latter all images are read and sorted by class: its halves share their classes.

    Returns:
        Training and test images.

    Raises:
        DataError: If a file is missing or isn't the official one, or a half is empty.
    """
    root = data_dir / "cars196"
    whole = root / "cars_annos.mat"
    halves = {folder: _annotations(root, name) for folder, name in _HALVES.items()}
    has_halves = any(path.is_file() for path in halves.values())
    if has_halves and not (whole.is_file() and (root / "car_ims").is_dir()):
        images = [
            image for folder, path in halves.items() for image in _list_half(root / folder, path)
        ]
        images.sort(key=lambda image: image.class_id)
        return split_by_class_id(images, _LAST_TRAINING_CLASS, root)
    if not whole.is_file():
        raise DataError(
            f"There is no file {whole}: put cars_annos.mat and the unpacked car_ims.tgz into "
            f"{root}, or {' and '.join(_HALVES.values())} with the folders {' and '.join(_HALVES)}."
        )
    return split_by_class_id(_list_images(whole), _LAST_TRAINING_CLASS, whole)


def _annotations(root: Path, name: str) -> Path:
    in_devkit = root / _DEVKIT / name
    return in_devkit if in_devkit.is_file() else root / name


def _list_images(annotations: Path) -> Iterator[ListedImage]:
    paths, class_ids = _fields(annotations, "relative_im_path", "class")
    for path, class_id in zip(paths, class_ids, strict=True):
        yield ListedImage(annotations.parent / str(path), int(class_id))


def _list_half(folder: Path, annotations: Path) -> Iterator[ListedImage]:
    if not annotations.is_file():
        raise DataError(
            f"There is no file {annotations}, which says the classes of the images in {folder}: "
            "put it there."
        )
    names, class_ids = _fields(annotations, "fname", "class")
    for name, class_id in zip(names, class_ids, strict=True):
        yield ListedImage(folder / str(name), int(class_id))


def _fields(annotations: Path, *names: str) -> list[npt.NDArray[Any]]:
    # SciPy reports what isn't a MATLAB 5 file with any of the first four, and a missing variable
    # or field shows as one of the last two.
    try:
        rows = np.atleast_1d(loadmat(annotations, squeeze_me=True)["annotations"])
        return [rows[name] for name in names]
    except (
        MatReadError,
        NotImplementedError,
        TypeError,
        ValueError,
        KeyError,
        IndexError,
    ) as error:
        raise DataError(
            f"{annotations} isn't the official annotation file, which has a MATLAB 5 variable "
            f"'annotations' with the fields {' and '.join(names)}: download it again."
        ) from error
