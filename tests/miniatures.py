"""The official data sets in miniature: their layouts and formats, with few and tiny images."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

CLASSES_A_HALF = 8
IMAGES_A_CLASS = 2


def write_cub200(data_dir: Path) -> None:
    for class_id in _class_ids(boundary=100):
        for number in range(IMAGES_A_CLASS):
            folder = data_dir / "CUB_200_2011" / "images" / f"{class_id:03d}.Bird"
            _save_image(folder / f"{number}.jpg", class_id)


def write_cars196(data_dir: Path) -> None:
    fields = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
    rows = [
        (f"car_ims/{class_id}_{number}.jpg", 1, 1, 4, 4, class_id, 0)
        for class_id in _class_ids(boundary=98)
        for number in range(IMAGES_A_CLASS)
    ]
    annotations = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    for column, row in enumerate(rows):
        annotations[0, column] = row
        _save_image(data_dir / "cars196" / row[0], row[5])
    savemat(data_dir / "cars196" / "cars_annos.mat", {"annotations": annotations})


def write_sop(data_dir: Path) -> None:
    root = data_dir / "Stanford_Online_Products"
    lines: dict[str, list[str]] = {"Ebay_train.txt": [], "Ebay_test.txt": []}
    for class_id in _class_ids(boundary=11318):
        for number in range(IMAGES_A_CLASS):
            path = f"bicycle_final/{class_id}_{number}.JPG"
            _save_image(root / path, class_id)
            name = "Ebay_train.txt" if class_id <= 11318 else "Ebay_test.txt"
            lines[name].append(f"{len(lines[name]) + 1} {class_id} 1 {path}\n")
    for name, rows in lines.items():
        (root / name).write_text("image_id class_id super_class_id path\n" + "".join(rows))


def write_inshop(data_dir: Path) -> None:
    root = data_dir / "Inshop_Clothes"
    rows = []
    for item in range(2 * CLASSES_A_HALF):
        statuses = ("train", "train") if item < CLASSES_A_HALF else ("query", "gallery")
        for number, status in enumerate(statuses):
            path = f"img/WOMEN/Dresses/id_{item:08d}/0{number}_1_front.jpg"
            _save_image(root / "Img" / path, item)
            rows.append(f"{path} id_{item:08d} {status}\n")
    (root / "Eval").mkdir()
    text = f"{len(rows)}\nimage_name item_id evaluation_status\n" + "".join(rows)
    (root / "Eval" / "list_eval_partition.txt").write_text(text)


WRITERS: dict[str, Callable[[Path], None]] = {
    "cub200": write_cub200,
    "cars196": write_cars196,
    "sop": write_sop,
    "inshop": write_inshop,
}


def _class_ids(boundary: int) -> Iterator[int]:
    """Ids of which half train and half test, around the id that divides the data set."""
    first = boundary - CLASSES_A_HALF + 1
    return iter(range(first, first + 2 * CLASSES_A_HALF))


def _save_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels_HW3 = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels_HW3).save(path)
