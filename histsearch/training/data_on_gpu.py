"""Whether the images of a run that begins are to lie on its device."""

from enum import StrEnum


class DataOnGpu(StrEnum):
    """What a user chooses; ``auto`` is where they fit, and never on a CPU."""

    auto = "auto"
    always = "always"
    never = "never"
