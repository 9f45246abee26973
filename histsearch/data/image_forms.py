"""What is made of a decoded image before its pixels are used, or kept."""

from dataclasses import dataclass
from typing import Protocol

from PIL import Image

_RESAMPLING = Image.Resampling.BICUBIC


class ImageForm(Protocol):
    """A form of images: decoded pixels that no random number has touched."""

    @property
    def name(self) -> str:
        """Two forms of one name give the same pixels; letters, digits and dashes."""
        ...

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what an image of these becomes."""
        ...

    def __call__(self, image: Image.Image) -> Image.Image:
        """What becomes of an image in RGB mode; it may be that image itself."""
        ...


@dataclass(frozen=True)
class WholeImages:
    """Images as they are, or with a shorter side of at most ``cap`` pixels.

    Attributes:
        cap: The most; None for none.
    """

    cap: int | None = None

    @property
    def name(self) -> str:
        """``whole`` or ``whole-320``."""
        return "whole" if self.cap is None else f"whole-{self.cap}"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what an image of these becomes."""
        shorter = min(width, height)
        if self.cap is None or shorter <= self.cap:
            return width, height
        scale = self.cap / shorter
        return max(1, round(width * scale)), max(1, round(height * scale))

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return an image that is no larger than the cap."""
        size = self.size(image.width, image.height)
        return image if size == image.size else image.resize(size, _RESAMPLING)
