"""Foreign text inside Markdown: a name with ``|`` or ``<`` stays a name."""

import re

from histsearch.plain_text import one_line

# What begins emphasis, code, links, HTML, table cells, entities or formulas. An underscore within
# a word, as in lambda_s, begins nothing.
_MARKUP = re.compile(r"[\\`*\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_])")


def escape(text: str) -> str:
    """A text as Markdown that shows it, on one line."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text))
