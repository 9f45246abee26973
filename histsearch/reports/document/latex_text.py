r"""A table as LaTeX, for ``\input`` in a document with the package booktabs.

A wide table is made as wide as the text by the package graphicx.
"""

import re

from histsearch.plain_text import one_line
from histsearch.reports.document.tables import GAP, Column, Table

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "−": r"$-$",
    "δ": r"$\delta$",
    "λ": r"$\lambda$",
    "τ": r"$\tau$",
    "α": r"$\alpha$",
    "σ": r"$\sigma$",
    "†": r"\textsuperscript{\dag}",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "\u00a0": "~",
}
_MOST_COLUMNS = 8  # of a table in the size of the text,
_MOST_CHARACTERS = 72  # and of its longest texts together, with _BETWEEN two of them
_BETWEEN = 2.5
_SPECIAL = re.compile("|".join(map(re.escape, _COMMANDS)))


def latex_text(table: Table) -> str:
    """A table with its caption and its notes."""
    is_wide = _is_wide(table)
    lines = [
        rf"% \usepackage{{booktabs{',graphicx' if is_wide else ''}}}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escaped(table.caption)}}}",
        rf"\label{{tab:{re.sub('[^A-Za-z0-9-]', '-', table.name)}}}",
        *([r"\setlength{\tabcolsep}{3pt}", r"\resizebox{\textwidth}{!}{%"] if is_wide else []),
        rf"\begin{{tabular}}{{{''.join(map(_alignment, table.columns))}}}",
        r"\toprule",
        _row([column.title for column in table.columns]),
        r"\midrule",
        *(_row([cell.text or GAP for cell in row]) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}" + ("}" if is_wide else ""),
        *(rf"\par\smallskip\footnotesize {_escaped(note)}" for note in table.shown_notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _is_wide(table: Table) -> bool:
    titles = [column.title for column in table.columns]
    texts = [titles, *([cell.text for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return len(titles) > _MOST_COLUMNS or sum(widths) + _BETWEEN * len(titles) > _MOST_CHARACTERS


def _alignment(column: Column) -> str:
    return "r" if column.is_numeric else "l"


def _row(texts: list[str]) -> str:
    return " & ".join(map(_escaped, texts)) + r" \\"


def _escaped(text: str) -> str:
    escaped = _SPECIAL.sub(lambda found: _COMMANDS[found[0]], one_line(text))
    # A bracket after the end of a row would be read as its height.
    return "{}" + escaped if escaped.startswith(("[", "*")) else escaped
