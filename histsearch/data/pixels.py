"""What the pixels of an image file mean: from an opened file to RGB."""

# H, W = image height and width

import struct
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin
from PIL.ExifTags import Base as Tag

ToRGB = Callable[[Image.Image], Image.Image]
"""Turns an opened image of any mode into one in RGB mode; ValueError for one that it refuses."""

# The formats that Pillow opens as 32-bit integers, but whose values have no more than 16 bits.
_WIDENED_FORMATS = ("PNG", "PPM")
_FULL_16_BIT = 2**16 - 1
_BLACK_IS_ZERO = 1
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn an image of each EXIF orientation but the usual one."""


def reference_rgb(image: Image.Image) -> Image.Image:
    """Convert as the reference code of the official data sets does: by Pillow's rules alone."""
    return image.convert("RGB")


def rgb_as_shown(image: Image.Image) -> Image.Image:
    """Convert as an image viewer shows it.

    Grey of 16 bit is scaled to 8, what is transparent lies on white, and the EXIF orientation is
    applied. An animation gives its first frame.

    Raises:
        ValueError: If there is no one right picture: several pages, or grey without a known range.
    """
    if image.format == "TIFF":
        _check_pages(image)
    _scale_transparency(image)
    image.load()
    rgb = _eight_bit(image) if image.mode.startswith(("I", "F")) else _on_white(image)
    turn = _UPRIGHT.get(_orientation(image))
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(Tag.Orientation, 1))
    # Damaged EXIF data say nothing of the picture, and viewers pass them over.
    except (SyntaxError, TypeError, ValueError, struct.error):
        return 1


def _check_pages(image: Image.Image) -> None:
    pages: int = getattr(image, "n_frames", 1)
    if pages > 1:
        raise ValueError(f"a TIFF of {pages} pages; save each as a file of its own")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale a grey image from 0..65535 to 0..255."""
    _check_range(image)
    levels_HW = np.asarray(image).astype(np.int64)
    grey_HW = (levels_HW * 255 + _FULL_16_BIT // 2) // _FULL_16_BIT
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey_HW[levels_HW == transparent] = 255
    return Image.fromarray(grey_HW.astype(np.uint8)).convert("RGB")


def _check_range(image: Image.Image) -> None:
    """Refuse grey values of which nothing says where black and white lie."""
    if image.mode == "F":
        found = "floating-point grey"
    elif image.mode == "I" and image.format not in _WIDENED_FORMATS:
        found = "grey of 32 bit or with a sign"
    elif isinstance(image, TiffImagePlugin.TiffImageFile) and not _is_plain_16_bit(image):
        found = "grey of 12 bit, or whose zero is white"
    else:
        return
    raise ValueError(f"{found}, which has no known range; save it with 8 or 16 bit")


def _is_plain_16_bit(image: TiffImagePlugin.TiffImageFile) -> bool:
    bits = image.tag_v2.get(Tag.BitsPerSample)
    return bits == (16,) and image.tag_v2.get(Tag.PhotometricInterpretation) == _BLACK_IS_ZERO


def _scale_transparency(image: Image.Image) -> None:
    """Bring a PNG's transparent level to the 8 bits that Pillow makes of 2, 4 and 16.

    Pillow scales the pixels, but leaves that level as the file has it. Of 16 bits it keeps the
    upper 8, in which levels that are nearly transparent can't be told from it.
    """
    transparent = image.info.get("transparency")
    tiles = image.tile if isinstance(image, PngImagePlugin.PngImageFile) else ()
    raw_mode = tiles[0].args if tiles else None
    if raw_mode in ("L;2", "L;4") and isinstance(transparent, int):
        most = 2 ** int(raw_mode[-1]) - 1
        image.info["transparency"] = transparent * 255 // most
    elif raw_mode == "RGB;16B" and isinstance(transparent, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in transparent)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
