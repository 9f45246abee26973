"""A figure as SVG."""

import io
import warnings
from xml.sax.saxutils import escape

from histsearch.figures.drawn import Drawn
from histsearch.figures.look import our_look

_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@our_look
def svg(drawn: Drawn) -> str:
    """An SVG document with the figure's title and alternative text, the same for the same figure.

    Its text stays text, in a font of the reader's, so one without a glyph here may have it there.
    """
    content = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing")
        drawn.figure.savefig(content, format="svg", metadata=_NO_METADATA)
    before, root, rest = content.getvalue().partition("<svg ")
    attributes, end, body = rest.partition(">")
    described = f"\n <title>{escape(drawn.title)}</title>\n <desc>{escape(drawn.alt)}</desc>"
    return f'{before}{root}role="img" {attributes}{end}{described}{body}'
