"""A figure as SVG."""

import base64
import io
import re
import warnings
from xml.sax.saxutils import escape

from PIL import Image

from histsearch.figures.drawn import Drawn
from histsearch.figures.look import our_look

_PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_BLOCKY = "image-rendering:crisp-edges;image-rendering:pixelated"
_OPAQUE = 255
_QUALITY = 80
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
    small = _PNG.sub(_as_jpeg, body).replace(_BLOCKY, "")
    return f'{before}{root}role="img" {attributes}{end}{described}{small}'


def _as_jpeg(found: re.Match[str]) -> str:
    """A photograph as JPEG, which takes a fifth of it; any other image as it is."""
    image = Image.open(io.BytesIO(base64.b64decode(found[1])))
    if image.convert("RGBA").getchannel("A").getextrema() != (_OPAQUE, _OPAQUE):
        return found[0]
    content = io.BytesIO()
    image.convert("RGB").save(content, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
