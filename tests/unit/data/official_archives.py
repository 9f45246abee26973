"""Miniature archives in the formats of the official data sets."""

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from histsearch.data.dataset_record import Size

SIZES = {
    "cub200": {"train": Size(2, 4), "test": Size(2, 4)},
    "cars196": {"train": Size(2, 2), "test": Size(1, 2)},
    "sop": {"train": Size(2, 3), "test": Size(1, 2)},
    "inshop": {"train": Size(1, 2), "query": Size(2, 2), "gallery": Size(2, 2)},
}
"""What these archives hold, counted by hand."""


def jpeg(size: int = 8) -> bytes:
    content = io.BytesIO()
    Image.effect_noise((size, size), 50).save(content, "JPEG")
    return content.getvalue()


def write_tgz(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def cub200_files(top: str = "CUB_200_2011/") -> dict[str, bytes]:
    folders = ("001.Albatross", "100.Pelican", "101.Pelican", "200.Yellowthroat")
    names = [f"{folder}/{number}.jpg" for folder in folders for number in (1, 2)]
    listing = "".join(f"{i} {name}\n" for i, name in enumerate(names, start=1))
    images = {f"{top}images/{name}": jpeg() for name in names}
    return {"attributes.txt": b"1 none\n", f"{top}images.txt": listing.encode(), **images}


def cars196_files(top: str = "car_ims/") -> dict[str, bytes]:
    return {f"{top}{number:06d}.jpg": jpeg() for number in (1, 2, 3, 4)}


def write_cars196_annotations(path: Path) -> Path:
    """One 1×N struct array of 7 fields, as in the official file."""
    fields = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
    annotations = np.empty((1, 4), dtype=[(field, object) for field in fields])
    for i, class_id in enumerate((1, 98, 99, 99)):
        annotations[0, i] = (f"car_ims/{i + 1:06d}.jpg", 1, 1, 8, 8, class_id, 0)
    savemat(path, {"annotations": annotations})
    return path


def write_half_annotations(
    path: Path, rows: Sequence[tuple[str, int]], *, labels: bool = True
) -> Path:
    """The file of one half: a 1×N struct array of 6 fields, or of 5 without the labels."""
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", *(["class"] if labels else []), "fname"]
    annotations = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    for i, (name, class_id) in enumerate(rows):
        annotations[0, i] = (1, 1, 8, 8, *([class_id] if labels else []), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"annotations": annotations})
    return path


def write_cars196_halves(folder: Path) -> list[Path]:
    """The four downloads of the distribution that has a folder and a file of labels a half."""
    train = write_half_annotations(folder / "train.mat", [("00001.jpg", 99), ("00002.jpg", 1)])
    labels = folder / "cars_test_annos_withlabels.mat"
    write_half_annotations(labels, [("00001.jpg", 98), ("00002.jpg", 99)])
    devkit = {"devkit/cars_meta.mat": b"", "devkit/cars_train_annos.mat": train.read_bytes()}
    train.unlink()
    archives = [write_tgz(folder / "car_devkit.tgz", devkit), labels]
    for half in ("train", "test"):
        images = {f"cars_{half}/{number:05d}.jpg": jpeg() for number in (1, 2)}
        archives.append(write_tgz(folder / f"cars_{half}.tgz", images))
    return archives


def sop_files(top: str = "Stanford_Online_Products/") -> dict[str, bytes]:
    header = "image_id class_id super_class_id path\n"
    train = "1 1 1 bicycle_final/1_0.JPG\n2 1 1 bicycle_final/1_1.JPG\n3 2 1 chair_final/2_0.JPG\n"
    test = "4 11319 1 chair_final/3_0.JPG\n5 11319 1 chair_final/3_1.JPG\n"
    names = ("bicycle_final/1_0.JPG", "bicycle_final/1_1.JPG", "chair_final/2_0.JPG")
    tested = ("chair_final/3_0.JPG", "chair_final/3_1.JPG")
    return {
        f"{top}Ebay_train.txt": (header + train).encode(),
        f"{top}Ebay_test.txt": (header + test).encode(),
        **{f"{top}{name}": jpeg() for name in (*names, *tested)},
    }


INSHOP_LISTING = (
    "6\nimage_name item_id evaluation_status\n"
    "img/MEN/Denim/id_00000001/01_1_front.jpg   id_00000001   train\n"
    "img/MEN/Denim/id_00000001/01_2_side.jpg   id_00000001   train\n"
    "img/WOMEN/Tees/id_00000002/01_1_front.jpg   id_00000002   query\n"
    "img/WOMEN/Tees/id_00000002/01_2_side.jpg   id_00000002   gallery\n"
    "img/WOMEN/Tees/id_00000003/01_1_front.jpg   id_00000003   query\n"
    "img/WOMEN/Tees/id_00000003/01_2_side.jpg   id_00000003   gallery\n"
)


def inshop_files(top: str = "img/") -> dict[str, bytes]:
    names = [line.split()[0] for line in INSHOP_LISTING.splitlines()[2:]]
    return {top + name.removeprefix("img/"): jpeg() for name in names}


def write_official_archives(name: str, folder: Path) -> list[Path]:
    """Write a data set's archives under their official names."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "cub200":
        return [write_tgz(folder / "CUB_200_2011.tgz", cub200_files())]
    if name == "cars196":
        images = write_tgz(folder / "car_ims.tgz", cars196_files())
        return [images, write_cars196_annotations(folder / "cars_annos.mat")]
    if name == "sop":
        return [write_zip(folder / "Stanford_Online_Products.zip", sop_files())]
    listing = folder / "list_eval_partition.txt"
    listing.write_text(INSHOP_LISTING)
    return [write_zip(folder / "img.zip", inshop_files()), listing]
