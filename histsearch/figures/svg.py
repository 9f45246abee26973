"""A figure as SVG."""

from histsearch.figures.drawn import Drawn


def svg(drawn: Drawn) -> str:
    """An SVG document with the figure's title and alternative text, the same for the same figure.

    Its text stays text, in a font of the reader's.
    """
    raise NotImplementedError
