"""A figure's place in a document."""

import io
from collections.abc import Sequence
from dataclasses import replace

from histsearch.figures.drawn import Drawn
from histsearch.figures.drawn import Missing as NotDrawn
from histsearch.figures.look import our_look
from histsearch.figures.svg import svg
from histsearch.reports.document.names import file_name
from histsearch.reports.document.reported import Reported
from histsearch.reports.document.sections import Image, Missing

_LARGEST_SVG = 400_000  # bytes within a page; of a larger one it shows the pixels


def placed(
    found: Drawn | NotDrawn, one: Reported, searches: Sequence[Reported], *notes: str
) -> Image | Missing:
    """A figure of a search as an image, or the reason why there is none.

    Args:
        found: What came of drawing it.
        one: The search.
        searches: All of the report.
        notes: Sentences that stand below it, after its title.
    """
    return shown(found, file_name(found.name, one, searches), *notes)


def shown(found: Drawn | NotDrawn, name: str, *notes: str) -> Image | Missing:
    """The same of a figure that isn't one search's, with the name of its file."""
    if isinstance(found, NotDrawn):
        return Missing(found.title, found.reason)
    whole = svg(found).encode()
    image = Image(
        name=name,
        caption=" ".join([f"{found.title}.", *notes]),
        alt=found.alt,
        svg=whole,
        embedded=whole,
        media_type="image/svg+xml",
    )
    if len(whole) <= _LARGEST_SVG:
        return image
    return replace(image, embedded=_pixels(found), media_type="image/png")


@our_look
def _pixels(drawn: Drawn) -> bytes:
    content = io.BytesIO()
    drawn.figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
