"""``glyphs``: printed characters, rendered on the fly from matplotlib's bundled fonts.

A data set that needs no download. Each class is a character, each image one rendering of it in a
random face, under a random affine transform, contrast and noise, all from a fixed seed.
"""

# N = images, H, W = image height and width, A = the two axes (x, y)

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from histsearch.data.dataset_record import DatasetRecord, Halves
from histsearch.data.image_set import ImageArrays, ImageSet

FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
)

CHARACTERS = (
    "abcdefgijkmnopqrstuvwxyzABDEFGHJKLMNPQRTUYßæƕƣƹǝȸȹÞƄƆƎƔƢƦƧƱǶɄ"
    "0123456789"
    "αβγδεζηλμξπςστφχωΓΔΞΣΦΨΩ"
    "джлмфцчщъыьэюяђљњћџДИЛЦЧШЪЫЯ"
    "աբեէըթժիլխծկձճմնչպջվփֆԱԲԳԴԵԶԷԸԹԺԻԽԾԿՀՁՃՄՅՆՇՈՉՊՋՌՎՐՒՔՖ"
    "აბგდეზთიკლნოჟრსტუფქღყშჩცძჭჯჰ"
)
"""The classes: in all `FACES`, and no two alike even if one is scaled to the other's size."""

IMAGES_PER_CLASS = 20
IMAGE_SIZE = 36

_SEED = 20230609
_OVERSAMPLING = 2
_FONT_SIZE = 24 * _OVERSAMPLING
_CANVAS_SIZE = IMAGE_SIZE * _OVERSAMPLING


def read_glyphs() -> Halves:
    """Render the data set.

    Every second character of each script trains and the others test, so the halves are alike.
    """
    train, test = CHARACTERS[0::2], CHARACTERS[1::2]
    pixels_NHW = _render(train + test)
    boundary = len(train) * IMAGES_PER_CLASS
    return Halves(_image_set(pixels_NHW[:boundary], train), _image_set(pixels_NHW[boundary:], test))


def _image_set(pixels_NHW: npt.NDArray[np.uint8], characters: str) -> ImageSet:
    labels_N = np.repeat(np.arange(len(characters)), IMAGES_PER_CLASS)
    return ImageSet(ImageArrays(pixels_NHW), labels_N, characters)


@cache
def _render(characters: str) -> npt.NDArray[np.uint8]:
    """Return `IMAGES_PER_CLASS` consecutive (H, W) images of each character, ink bright."""
    rng = np.random.default_rng(_SEED)
    fonts = _load_fonts()
    count = len(characters) * IMAGES_PER_CLASS
    face_N = rng.integers(len(fonts), size=count)
    maps_N6 = _random_affine_maps(rng, count)
    ink_NHW = np.stack(
        [
            _draw(characters[i // IMAGES_PER_CLASS], fonts[face_N[i]], maps_N6[i])
            for i in range(count)
        ]
    )
    background_N11 = rng.uniform(0, 60, size=(count, 1, 1))
    contrast_N11 = rng.uniform(0.4, 0.75, size=(count, 1, 1))
    noise_NHW = rng.normal(scale=14, size=ink_NHW.shape)
    pixels_NHW = background_N11 + contrast_N11 * ink_NHW + noise_NHW
    return np.clip(np.rint(pixels_NHW), 0, 255).astype(np.uint8)


def _load_fonts() -> list[ImageFont.FreeTypeFont]:
    # A third of a second, which not every command that knows the data set's name should take.
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    # The other layout engine is an optional library, so renderings would depend on its presence.
    layout = ImageFont.Layout.BASIC
    return [
        ImageFont.truetype(folder / f"{face}.ttf", _FONT_SIZE, layout_engine=layout)
        for face in FACES
    ]


def _random_affine_maps(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Return (N, 6) maps from image to canvas coordinates, in Pillow's order (a, b, c, d, e, f)."""
    angle_N = np.deg2rad(rng.uniform(-15, 15, size=count))
    shear_N = rng.uniform(-0.2, 0.2, size=count)
    scale_AN = np.exp(rng.uniform(-0.25, 0.25, size=(2, count))) * _OVERSAMPLING
    shift_AN = rng.uniform(-3, 3, size=(2, count))
    a_N = scale_AN[0] * np.cos(angle_N)
    b_N = scale_AN[0] * (shear_N * np.cos(angle_N) - np.sin(angle_N))
    d_N = scale_AN[1] * np.sin(angle_N)
    e_N = scale_AN[1] * (shear_N * np.sin(angle_N) + np.cos(angle_N))
    # The centre of the shifted image maps to the centre of the canvas.
    x_N, y_N = IMAGE_SIZE / 2 + shift_AN
    c_N = _CANVAS_SIZE / 2 - a_N * x_N - b_N * y_N
    f_N = _CANVAS_SIZE / 2 - d_N * x_N - e_N * y_N
    return np.stack([a_N, b_N, c_N, d_N, e_N, f_N], axis=1)


def _draw(
    character: str, font: ImageFont.FreeTypeFont, map_6: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    canvas = Image.new("L", (_CANVAS_SIZE, _CANVAS_SIZE))
    left, top, right, bottom = font.getbbox(character)
    corner = ((_CANVAS_SIZE - left - right) / 2, (_CANVAS_SIZE - top - bottom) / 2)
    ImageDraw.Draw(canvas).text(corner, character, font=font, fill=255)
    image = canvas.transform(
        (IMAGE_SIZE, IMAGE_SIZE),
        Image.Transform.AFFINE,
        map_6.tolist(),
        resample=Image.Resampling.BILINEAR,
    )
    return np.asarray(image)


GLYPHS = DatasetRecord(
    name="glyphs",
    read=lambda _: read_glyphs(),
    # Those of CUB-200-2011 and Cars-196.
    recall_ks=(1, 2, 4, 8, 16, 32),
    nmi_repeats=10,
)
