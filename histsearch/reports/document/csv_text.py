"""A table as CSV: the exact values, none of which a spreadsheet takes for a formula."""

import csv
import io

from histsearch.plain_text import one_line
from histsearch.reports.document.tables import Exact, Table

# What begins a formula; an apostrophe before it makes a text of it, as OWASP advises.
_FORMULA = ("=", "+", "-", "@")


def csv_text(table: Table) -> str:
    """A table's exact values under their names; numbers with all their digits, empty where none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_cell(name) for column in table.columns for name in column.exact)
    for row in table.rows:
        writer.writerow(_cell(value) for cell in row for value in cell.exact)
    return text.getvalue()


def _cell(value: Exact) -> object:
    if not isinstance(value, str):
        return value  # csv writes the shortest text that reads back as the same float
    plain = one_line(value)
    return f"'{plain}" if plain.lstrip().startswith(_FORMULA) else plain
