"""What comes of drawing: a figure, or the reason why there is none."""

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawn:
    """A figure.

    Attributes:
        name: A word for its file, such as "search-history".
        title: One line, which the figure itself doesn't show.
        alt: What can be seen, in one or two sentences.
        figure: It.
    """

    name: str
    title: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class Missing:
    """A figure that would show nothing.

    Attributes:
        name: As `Drawn.name`.
        title: As `Drawn.title`.
        reason: Why there is none, a sentence.
    """

    name: str
    title: str
    reason: str
