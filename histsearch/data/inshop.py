"""DeepFashion In-Shop Clothes Retrieval (Liu et al., CVPR 2016): 7,982 items, 52,712 images."""

from pathlib import Path

from histsearch.data.dataset_record import DatasetRecord, Halves, Size
from histsearch.data.image_set import ImageSet
from histsearch.data.layouts import Piece
from histsearch.data.listing import read_listing
from histsearch.exceptions import DataError

_COLUMNS = ("image_name", "item_id", "evaluation_status")


def read_inshop(data_dir: Path) -> Halves:
    """Read ``Inshop_Clothes/Eval/list_eval_partition.txt`` and the images under ``Img/``.

    Raises:
        DataError: If the listing is missing or malformed, or one of the three is empty.
    """
    root = data_dir / "Inshop_Clothes"
    listing = root / "Eval" / "list_eval_partition.txt"
    parts: dict[str, list[tuple[Path, str]]] = {"train": [], "query": [], "gallery": []}
    for place, (image, item, status) in read_listing(listing, header_lines=2, columns=_COLUMNS):
        if status not in parts:
            raise DataError(
                f"{place}, has the evaluation_status {status!r}, which is none of train, query "
                "and gallery."
            )
        parts[status].append((root / "Img" / image, item))
    if missing := [status for status, files in parts.items() if not files]:
        raise DataError(
            f"{listing} lists no {' and no '.join(missing)} image: unpack the data set again."
        )
    test_items = sorted({item for _, item in parts["query"] + parts["gallery"]})
    return Halves(
        train=ImageSet.from_files(parts["train"]),
        test=ImageSet.from_files(parts["query"], test_items),
        gallery=ImageSet.from_files(parts["gallery"], test_items),
    )


INSHOP = DatasetRecord(
    name="inshop",
    read=read_inshop,
    recall_ks=(1, 10, 20, 30, 40, 50),
    nmi_repeats=1,
    layouts=(
        (
            Piece(Path("Inshop_Clothes/Img/img"), "img.zip", "*MEN"),
            Piece(Path("Inshop_Clothes/Eval/list_eval_partition.txt"), "list_eval_partition.txt"),
        ),
    ),
    # The query and the gallery images show the same 3,985 items.
    published={
        "train": Size(3_997, 25_882),
        "query": Size(3_985, 14_218),
        "gallery": Size(3_985, 12_612),
    },
)
