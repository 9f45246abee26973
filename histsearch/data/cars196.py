"""Cars-196 (Krause et al. 2013): 196 classes, 16,185 images.

It was distributed twice: all images in one folder with one file of annotations, and as the two
halves of a classification task, each with a folder and a file of its own.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from histsearch.data.class_split import ListedImage, split_by_class_id
from histsearch.data.dataset_record import DatasetRecord, Halves, Size
from histsearch.data.file_system import unreachable
from histsearch.data.layouts import Piece
from histsearch.exceptions import DataError

_LAST_TRAINING_CLASS = 98
_HALVES = {
    "cars_train": "cars_train_annos.mat",
    "cars_test": "cars_test_annos_withlabels.mat",
}
# The archive of annotations has a folder of this name.
_DEVKIT = "devkit"
# SciPy reads a file without checking it, so a damaged one fails wherever its bytes lead.
_DAMAGED_FILE_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
)


def read_cars196(data_dir: Path) -> Halves:
    """Read the images that ``cars196`` annotates; classes 1 to 98 train, later ones test.

    That is ``cars_annos.mat`` with ``car_ims``, or ``cars_train_annos.mat`` with ``cars_train`` and
    ``cars_test_annos_withlabels.mat`` with ``cars_test``, the two files also in ``devkit``. Of the
    latter all images are read and sorted by class: its halves share their classes.

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
    for path, class_id in _rows(annotations, "relative_im_path"):
        yield ListedImage(annotations.parent / path, class_id)


def _list_half(folder: Path, annotations: Path) -> Iterator[ListedImage]:
    if not annotations.is_file():
        raise DataError(
            f"There is no file {annotations}, which says the classes of the images in {folder}: "
            "put it there."
        )
    for name, class_id in _rows(annotations, "fname"):
        yield ListedImage(folder / name, class_id)


def _rows(annotations: Path, path_field: str) -> list[tuple[str, int]]:
    """The path of each image, and its class."""
    # Half a second, which not every command that knows the data set's name should take.
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        rows = np.atleast_1d(loadmat(annotations, squeeze_me=True)["annotations"])
        return [(str(row[path_field]), int(row["class"])) for row in rows]
    except OSError as error:
        # SciPy raises one of its own, without a number, where a file ends too early.
        if error.errno is not None:
            raise unreachable(annotations, error) from error
        raise _damaged(annotations, path_field) from error
    except (MatReadError, *_DAMAGED_FILE_ERRORS) as error:
        raise _damaged(annotations, path_field) from error


def _damaged(annotations: Path, path_field: str) -> DataError:
    return DataError(
        f"{annotations} isn't the official annotation file, which has a MATLAB 5 variable "
        f"'annotations' with the fields {path_field} and class: download it again."
    )


_WHOLE_LAYOUT = (
    Piece(Path("cars196/car_ims"), "car_ims.tgz", "*.jpg"),
    Piece(Path("cars196/cars_annos.mat"), "cars_annos.mat"),
)
_HALVES_LAYOUT = (
    Piece(Path("cars196/cars_train"), "cars_train.tgz", "*.jpg", under_any_name=False),
    Piece(Path("cars196/cars_test"), "cars_test.tgz", "*.jpg", under_any_name=False),
    Piece(
        Path("cars196/cars_train_annos.mat"),
        "car_devkit.tgz",
        other_place=Path("cars196/devkit/cars_train_annos.mat"),
    ),
    Piece(
        Path("cars196/cars_test_annos_withlabels.mat"),
        "cars_test_annos_withlabels.mat",
        other_place=Path("cars196/devkit/cars_test_annos_withlabels.mat"),
    ),
)

CARS196 = DatasetRecord(
    name="cars196",
    read=read_cars196,
    recall_ks=(1, 2, 4, 8, 16, 32),
    nmi_repeats=10,
    layouts=(_WHOLE_LAYOUT, _HALVES_LAYOUT),
    # Those of the first and the second half of its classes.
    published={"train": Size(98, 8_054), "test": Size(98, 8_131)},
)
