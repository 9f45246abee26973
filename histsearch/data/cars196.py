"""Cars-196 (Krause et al. 2013): 196 classes, 16,185 images."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from histsearch.data.class_split import ListedImage, split_by_class_id
from histsearch.data.image_set import ImageSet
from histsearch.exceptions import DataError

_LAST_TRAINING_CLASS = 98


def read_cars196(data_dir: Path) -> tuple[ImageSet, ImageSet]:
    """Read ``cars196/cars_annos.mat``; classes 1 to 98 train, later ones test.

    Returns:
        Training and test images.

    Raises:
        DataError: If the file is missing or isn't the official one, or a half is empty.
    """
    root = data_dir / "cars196"
    annotations = root / "cars_annos.mat"
    if not annotations.is_file():
        raise DataError(
            f"There is no file {annotations}: put cars_annos.mat and the unpacked car_ims.tgz "
            f"into {root}."
        )
    return split_by_class_id(_list_images(annotations), _LAST_TRAINING_CLASS, annotations)


def _list_images(annotations: Path) -> Iterator[ListedImage]:
    # SciPy reports what isn't a MATLAB 5 file with any of the first four, and a missing variable
    # or field shows as one of the last two.
    try:
        rows = np.atleast_1d(loadmat(annotations, squeeze_me=True)["annotations"])
        paths, class_ids = rows["relative_im_path"], rows["class"]
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
            "'annotations' with the fields relative_im_path and class: download it again."
        ) from error
    for path, class_id in zip(paths, class_ids, strict=True):
        yield ListedImage(annotations.parent / str(path), int(class_id))
