import hashlib
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from histsearch.data.dataset import load_dataset
from histsearch.data.glyphs import CHARACTERS, FACES, IMAGE_SIZE, IMAGES_PER_CLASS, read_glyphs

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


HASH_SCRIPT = """
import hashlib
from histsearch.data.glyphs import read_glyphs
digest = hashlib.sha256()
for images in read_glyphs()[:2]:
    for i in range(len(images)):
        digest.update(images.image(i).tobytes())
print(digest.hexdigest())
"""


def normalised_rendering(character: str, font: ImageFont.FreeTypeFont) -> npt.NDArray[np.float64]:
    """A rendering cropped to its ink, scaled to one size, blurred and standardised."""
    canvas = Image.new("L", (96, 96))
    ImageDraw.Draw(canvas).text((24, 12), character, font=font, fill=255)
    ink = canvas.crop(canvas.getbbox())
    ink.thumbnail((20, 20), Image.Resampling.BILINEAR)
    framed = Image.new("L", (24, 24))
    framed.paste(ink, ((24 - ink.width) // 2, (24 - ink.height) // 2))
    pixels = np.asarray(framed.filter(ImageFilter.GaussianBlur(0.8)), dtype=np.float64).ravel()
    centred: npt.NDArray[np.float64] = pixels - pixels.mean()
    return centred / np.sqrt(centred @ centred)


def test_there_are_at_least_200_classes_of_20_images() -> None:
    train, test, *_ = read_glyphs()
    assert train.num_classes + test.num_classes >= 200
    assert abs(train.num_classes - test.num_classes) <= 1
    for half in (train, test):
        assert np.bincount(half.labels_N).tolist() == [IMAGES_PER_CLASS] * half.num_classes
        assert half.image(0).size == (IMAGE_SIZE, IMAGE_SIZE)


def test_halves_share_no_class() -> None:
    train, test, *_ = read_glyphs()
    assert len(set(train.class_names + test.class_names)) == len(CHARACTERS)


def test_every_character_is_in_every_face() -> None:
    for face in FACES:
        known = TTFont(FONTS / f"{face}.ttf", lazy=True).getBestCmap()
        assert [c for c in CHARACTERS if ord(c) not in known] == []


def test_no_two_characters_look_alike() -> None:
    fonts = [ImageFont.truetype(FONTS / f"{face}.ttf", 48) for face in FACES]
    similarity_CC = np.mean(
        [
            vectors_CP @ vectors_CP.T
            for font in fonts
            for vectors_CP in [np.stack([normalised_rendering(c, font) for c in CHARACTERS])]
        ],
        axis=0,
    )
    np.fill_diagonal(similarity_CC, 0)
    first, second = np.unravel_index(similarity_CC.argmax(), similarity_CC.shape)
    assert similarity_CC.max() < 0.9, (CHARACTERS[first], CHARACTERS[second])


def test_images_of_a_class_differ_and_show_ink() -> None:
    train = read_glyphs().train
    images = [np.asarray(train.image(i)) for i in range(IMAGES_PER_CLASS)]
    assert len({image.tobytes() for image in images}) == IMAGES_PER_CLASS
    assert all(image.std() > 10 for image in images)


def test_two_processes_render_the_same_bytes() -> None:
    digest = hashlib.sha256()
    for images in read_glyphs()[:2]:
        for i in range(len(images)):
            digest.update(images.image(i).tobytes())
    result = subprocess.run(
        [sys.executable, "-c", HASH_SCRIPT], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == digest.hexdigest()


def test_glyphs_load_without_any_file(tmp_path: Path) -> None:
    dataset = load_dataset("glyphs", tmp_path / "missing")
    assert dataset.name == "glyphs"
    assert dataset.gallery is None
