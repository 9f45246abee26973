"""Caltech-UCSD Birds-200-2011 (Wah et al. 2011): 200 classes, 11,788 images."""

from collections.abc import Iterator
from pathlib import Path

from histsearch.data.class_split import ListedImage, split_by_class_id
from histsearch.data.dataset_record import DatasetRecord, Halves, Size
from histsearch.data.file_system import entries, leads_to_folder
from histsearch.data.layouts import Piece
from histsearch.data.listing import read_listing
from histsearch.exceptions import DataError

_LAST_TRAINING_CLASS = 100


def read_cub200(data_dir: Path) -> Halves:
    """Read ``CUB_200_2011/images/NNN.name/*.jpg``; classes 1 to 100 train, later ones test.

    Raises:
        DataError: If the folder is missing, a class folder has no number, or a half is empty.
    """
    root = data_dir / "CUB_200_2011" / "images"
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root}: unpack CUB_200_2011.tgz into {data_dir}, so that it "
            "holds CUB_200_2011/images/NNN.name/*.jpg."
        )
    return split_by_class_id(_list_images(root), _LAST_TRAINING_CLASS, root)


def listed_in_images_txt(data_dir: Path) -> list[Path]:
    """Return the images that the official list ``CUB_200_2011/images.txt`` names.

    The reader doesn't need that list; with it, images that are missing can be named.

    Returns:
        Paths below ``data_dir``, none if there is no such list.

    Raises:
        DataError: If the list isn't the official one.
    """
    listing = data_dir / "CUB_200_2011" / "images.txt"
    if not listing.is_file():
        return []
    rows = read_listing(listing, header_lines=0, columns=("image_id", "image_name"))
    return [listing.parent / "images" / row.fields[1] for row in rows]


def _list_images(root: Path) -> Iterator[ListedImage]:
    for entry in entries(root):
        if entry.name.startswith(".") or not leads_to_folder(entry):
            continue
        folder = root / entry.name
        for image in entries(folder):
            # An archive unpacked on macOS has a "._" companion beside every file.
            if image.name.endswith(".jpg") and not image.name.startswith("._"):
                yield ListedImage(folder / image.name, _class_id(folder))


def _class_id(folder: Path) -> int:
    number, dot, _ = folder.name.partition(".")
    if not dot or not number.isdecimal():
        raise DataError(
            f"The class folder {folder} doesn't begin with its number, as in "
            "001.Black_footed_Albatross: rename it or remove it."
        )
    return int(number)


CUB200 = DatasetRecord(
    name="cub200",
    read=read_cub200,
    recall_ks=(1, 2, 4, 8, 16, 32),
    nmi_repeats=10,
    layouts=((Piece(Path("CUB_200_2011"), "CUB_200_2011.tgz", "images/[0-9]*.*"),),),
    # Those of the first and the second half of its classes.
    published={"train": Size(100, 5_864), "test": Size(100, 5_924)},
    listed=listed_in_images_txt,
)
