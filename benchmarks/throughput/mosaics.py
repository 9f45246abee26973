"""Photographs of 500 × 375 pixels, each a mosaic of smaller ones in their own resolution.

python -m benchmarks.throughput.mosaics PHOTOS OUT
"""

import argparse
import random
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

from PIL import Image

SIZE = (500, 375)
NUMBER = 400


def mosaic(photographs: Iterator[Path]) -> Image.Image:
    """One mosaic of the next photographs, row by row."""
    made = Image.new("RGB", SIZE)
    top = 0
    while top < SIZE[1]:
        left, heights = 0, []
        while left < SIZE[0]:
            with Image.open(next(photographs)) as opened:
                made.paste(opened.convert("RGB"), (left, top))
                heights.append(opened.height)
                left += opened.width
        top += min(heights)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path, help="a folder of JPEG files, in subfolders maybe")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    paths = sorted(options.photos.expanduser().rglob("*.jpg"))
    random.Random(0).shuffle(paths)  # noqa: S311
    endless = chain.from_iterable(repeat(paths))
    options.out.mkdir(parents=True)
    for number in range(NUMBER):
        mosaic(endless).save(options.out / f"{number:03d}.jpg", quality=90)


if __name__ == "__main__":
    main()
