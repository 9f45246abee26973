import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from histsearch.data.dataset import Dataset, load_dataset
from histsearch.data.decoding import UnreadableImageError, decode
from histsearch.data.folder import OWN_IMAGES
from histsearch.data.image_set import ImageSet
from histsearch.data.pixels import reference_rgb, rgb_as_shown
from tests.miniatures import WRITERS

ORIENTATION = 0x0112
BLACK_IS_ZERO = 0x0106


def saved(image: Image.Image, format_: str, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file


def shown(image: Image.Image, format_: str, **options: Any) -> npt.NDArray[np.uint8]:
    """The pixels of a file as one's own images are read, (H, W, 3)."""
    with Image.open(saved(image, format_, **options)) as opened:
        rgb = rgb_as_shown(opened)
    assert rgb.mode == "RGB"
    return np.asarray(rgb)


def grey(pixels: npt.NDArray[np.uint8]) -> list[list[int]]:
    """The levels of pixels that are grey, (H, W)."""
    assert (pixels == pixels[..., :1]).all()
    levels: list[list[int]] = pixels[..., 0].tolist()
    return levels


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_grey_of_16_bit_is_scaled_to_8(format_: str) -> None:
    gradient = Image.fromarray(np.linspace(0, 65_535, 256, dtype=np.uint16)[None])
    assert grey(shown(gradient, format_)) == [list(range(256))]


def test_what_is_transparent_in_grey_of_16_bit_is_white() -> None:
    image = Image.fromarray(np.array([[257, 514]], dtype=np.uint16))
    assert grey(shown(image, "PNG", transparency=257)) == [[255, 2]]


@pytest.mark.parametrize(
    ("image", "transparency", "expected"),
    [
        (Image.new("RGBA", (1, 1), (0, 0, 0, 0)), None, (255, 255, 255)),
        (Image.new("RGBA", (1, 1), (255, 0, 0, 51)), None, (255, 204, 204)),
        (Image.new("RGBA", (1, 1), (1, 2, 3, 255)), None, (1, 2, 3)),
        (Image.new("LA", (1, 1), (0, 51)), None, (204, 204, 204)),
        (Image.new("L", (1, 1), 7), 7, (255, 255, 255)),
        (Image.new("1", (1, 1), 0), 0, (255, 255, 255)),
        (Image.new("RGB", (1, 1), (1, 2, 3)), (1, 2, 3), (255, 255, 255)),
        (Image.new("RGB", (1, 1), (1, 2, 3)).quantize(2), 0, (255, 255, 255)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_what_is_transparent_lies_on_white(
    image: Image.Image, transparency: object, expected: tuple[int, int, int]
) -> None:
    options = {} if transparency is None else {"transparency": transparency}
    assert tuple(shown(image, "PNG", **options)[0, 0]) == expected


def png(depth: int, colour: int, row: bytes, transparent: bytes, width: int) -> io.BytesIO:
    """A PNG of one row, as Pillow doesn't write them: of any depth, with a transparent level."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"tRNS", transparent)
    chunks += chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunks)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (png(2, 0, bytes([0b00_01_10_11]), struct.pack(">H", 1), 4), [0, 255, 170, 255]),
        (png(4, 0, bytes([0x05, 0xA0]), struct.pack(">H", 5), 4), [0, 255, 170, 0]),
        (
            png(
                16,
                2,
                struct.pack(">6H", *[1000] * 3, *[514] * 3),
                struct.pack(">3H", *[1000] * 3),
                2,
            ),
            [255, 2],
        ),
    ],
    ids=["grey of 2 bits", "grey of 4 bits", "RGB of 16 bits"],
)
def test_what_is_transparent_lies_on_white_at_any_depth(
    file: io.BytesIO, expected: list[int]
) -> None:
    with Image.open(file) as opened:
        assert grey(np.asarray(rgb_as_shown(opened))) == [expected]


@pytest.mark.parametrize(
    ("orientation", "as_it_stands"),
    [
        (1, lambda pixels: pixels),
        (2, lambda pixels: pixels[:, ::-1]),
        (3, lambda pixels: pixels[::-1, ::-1]),
        (4, lambda pixels: pixels[::-1]),
        (5, lambda pixels: pixels.T),
        (6, lambda pixels: pixels.T[:, ::-1]),
        (7, lambda pixels: pixels[::-1, ::-1].T),
        (8, lambda pixels: pixels.T[::-1]),
    ],
)
@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_the_exif_orientation_is_applied_once(
    format_: str,
    orientation: int,
    as_it_stands: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]],
) -> None:
    pixels = np.repeat(np.repeat(np.array([[0, 90], [180, 255], [40, 130]]), 16, 0), 16, 1)
    image = Image.fromarray(pixels.astype(np.uint8)).convert("RGB")
    options: dict[str, Any] = {"lossless": True} if format_ == "WEBP" else {}
    found = np.array(grey(shown(image, format_, exif=turned(orientation), **options)))
    expected = as_it_stands(pixels)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 4


def test_damaged_exif_data_leave_the_image_as_it_is() -> None:
    image = Image.new("L", (3, 2), 9)
    assert grey(shown(image, "PNG", exif=b"garbage")) == [[9] * 3] * 2


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    for format_, options in {"GIF": {}, "WEBP": {"lossless": True}}.items():
        pixels = shown(frames[0], format_, save_all=True, append_images=frames[1:], **options)
        assert tuple(pixels[0, 0]) == (255, 0, 0)


def test_ink_on_paper_becomes_light() -> None:
    # No ink, all of the black, all of the cyan.
    inks = np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [255, 0, 0, 0]]], dtype=np.uint8)
    pixels = shown(Image.fromarray(inks, "CMYK"), "TIFF")
    assert pixels[0].tolist() == [[255, 255, 255], [0, 0, 0], [0, 255, 255]]


@pytest.mark.parametrize(
    ("mode", "options", "reason"),
    [
        ("F", {}, "floating-point grey, which has no known range; save it with 8 or 16 bit"),
        ("I", {}, "grey of 32 bit or with a sign"),
        ("I;16", {"tiffinfo": {BLACK_IS_ZERO: 0}}, "whose zero is white"),
        (
            "L",
            {"save_all": True, "append_images": [Image.new("L", (2, 2))] * 2},
            "a TIFF of 3 pages; save each as a file of its own",
        ),
    ],
)
def test_an_image_without_one_right_reading_is_refused_by_name(
    tmp_path: Path, mode: str, options: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "image.tif"
    path.write_bytes(saved(Image.new(mode, (2, 2)), "TIFF", **options).getvalue())
    with pytest.raises(UnreadableImageError) as refused:
        decode(path, rgb_as_shown)
    assert str(path) in str(refused.value)
    assert reason in str(refused.value)


def test_a_damaged_tiff_is_refused_by_name(tmp_path: Path) -> None:
    content = saved(Image.new("RGB", (8, 8)), "TIFF").getvalue()
    # Of the tag that holds the width Pillow reports an odd type with a TypeError.
    width = content.index(b"\x00\x01\x04\x00\x01\x00\x00\x00\x08\x00\x00\x00")
    path = tmp_path / "image.tif"
    path.write_bytes(content[: width + 2] + b"\x63" + content[width + 3 :])
    with pytest.raises(UnreadableImageError, match=r"image\.tif can't be read"):
        decode(path, rgb_as_shown)


def odd_files() -> list[bytes]:
    """Files that the two readings tell apart: one transparent, one of 16 bit, one turned round."""
    rgba = Image.new("RGBA", (40, 30), (200, 10, 10, 100))
    deep = Image.fromarray(np.full((40, 30), 2_000, dtype=np.uint16))
    upright = Image.effect_noise((40, 30), 50).convert("RGB")
    return [
        saved(rgba, "PNG").getvalue(),
        saved(deep, "PNG").getvalue(),
        saved(upright, "JPEG", exif=turned(6)).getvalue(),
    ]


@pytest.mark.parametrize("name", WRITERS)
def test_official_data_sets_are_read_as_the_reference_reads_them(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    for number, content in enumerate(odd_files()):
        load_dataset(name, tmp_path).train.paths[number].write_bytes(content)
    for images in load_dataset(name, tmp_path).parts().values():
        assert images.to_rgb is reference_rgb
        for index, path in enumerate(images.paths[:4]):
            with Image.open(path) as opened:
                assert images.image(index).tobytes() == opened.convert("RGB").tobytes()


def test_own_images_are_read_as_they_are_shown(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).mkdir()
        for number, content in enumerate(odd_files()):
            (tmp_path / name / f"{number}.png").write_bytes(content)
    for images in load_dataset("folder", tmp_path).parts().values():
        transparent, deep, turned_round = (images.image(index) for index in range(3))
        assert transparent.getpixel((0, 0)) == (233, 159, 159)
        assert deep.getpixel((0, 0)) == (8, 8, 8)
        assert turned_round.size == (30, 40)
        # What is taken from the set keeps its reading.
        assert images.of_classes([1]).take(np.array([1])).image(0).tobytes() == deep.tobytes()


def test_the_fingerprint_tells_how_images_are_read() -> None:
    files = [(Path(f"{name}.png"), name) for name in "aab"]
    as_reference, as_shown = (
        Dataset(OWN_IMAGES, images, images).fingerprint()
        for images in (ImageSet.from_files(files), ImageSet.from_files(files, to_rgb=rgb_as_shown))
    )
    # That of classes and counts alone, as it always was: states saved from official sets stay good.
    content = [(half, ("a", "b"), [2, 1]) for half in ("train", "test")]
    assert as_reference == hashlib.sha256(repr(content).encode()).hexdigest()
    assert as_shown != as_reference
