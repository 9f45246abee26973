"""A report's document as one HTML page that asks nothing of anywhere."""

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from histsearch.plain_text import one_line
from histsearch.reports.document.sections import Document, Image
from histsearch.reports.document.tables import GAP


def render_page(document: Document) -> str:
    """The text of ``report.html``: no script, and every image inside it."""
    environment = Environment(
        loader=PackageLoader("histsearch.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_plain,
    )
    environment.filters["address"] = _address
    environment.globals["gap"] = GAP
    return environment.get_template("report.html.jinja").render(document=document)


def _plain(value: object) -> object:
    """What a template shows: on one line, no character reversing or hiding the text around it."""
    if not isinstance(value, str) or hasattr(value, "__html__"):  # which is markup already
        return value
    return one_line(value).replace(" ± ", "\u00a0±\u00a0")  # which stays beside its figures


def _address(image: Image) -> str:
    """An image as an address that holds all of it."""
    return f"data:{image.media_type};base64,{base64.b64encode(image.embedded).decode('ascii')}"
