"""Stanford Online Products (Oh Song et al., CVPR 2016): 22,634 classes, 120,053 images."""

from collections.abc import Iterator
from pathlib import Path

from histsearch.data.class_split import ListedImage, split_by_class_id
from histsearch.data.dataset_record import DatasetRecord, Halves, Size
from histsearch.data.layouts import Piece
from histsearch.data.listing import read_listing
from histsearch.exceptions import DataError

_LAST_TRAINING_CLASS = 11318
_COLUMNS = ("image_id", "class_id", "super_class_id", "path")


def read_sop(data_dir: Path) -> Halves:
    """Read ``Stanford_Online_Products/Ebay_{train,test}.txt``; classes 1 to 11,318 train.

    Raises:
        DataError: If a listing is missing or malformed, or a half is empty.
    """
    root = data_dir / "Stanford_Online_Products"
    return split_by_class_id(_list_images(root), _LAST_TRAINING_CLASS, root)


def _list_images(root: Path) -> Iterator[ListedImage]:
    for name in ("Ebay_train.txt", "Ebay_test.txt"):
        for place, fields in read_listing(root / name, header_lines=1, columns=_COLUMNS):
            _, class_id, _, path = fields
            if not class_id.isdecimal():
                raise DataError(f"{place}, has the class_id {class_id!r}, which is no number.")
            yield ListedImage(root / path, int(class_id))


SOP = DatasetRecord(
    name="sop",
    read=read_sop,
    recall_ks=(1, 10, 100, 1000),
    nmi_repeats=1,
    layouts=(
        (
            Piece(
                Path("Stanford_Online_Products"), "Stanford_Online_Products.zip", "Ebay_train.txt"
            ),
        ),
    ),
    published={"train": Size(11_318, 59_551), "test": Size(11_316, 60_502)},
)
