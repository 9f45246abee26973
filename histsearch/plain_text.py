"""Text of files, names and the database as plain text: what a terminal would obey is made visible.

A folder's name may hold anything but a slash: escape sequences that recolour or overwrite a
terminal, marks that turn the reading direction around, line breaks that forge a line of a log.
"""

import unicodedata

# Control characters, invisible format characters (the marks of reading direction among them),
# halves of surrogate pairs (bytes of a name that aren't UTF-8), line and paragraph separators.
_OBEYED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
# Joiners shape emoji and the scripts of Persia and India; they move nothing.
_JOINERS = "\u200c\u200d"


def one_line(text: str) -> str:
    r"""A text as one line, each character that a terminal would obey shown as ``\x1b``, ``\u202e``.

    Letters, accents and symbols of every script stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(one) if _is_obeyed(one) else one for one in text)


def visible(text: str) -> str:
    """The same for a text of several lines: line breaks and tabs stay."""
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in text.split("\n"))


def is_plain(text: str) -> bool:
    """Whether a text holds nothing that `one_line` would have to make visible."""
    return one_line(text) == text


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in _OBEYED and character not in _JOINERS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
