"""The files of a report: a page, the same as data, its tables and its figures."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from histsearch.file_writing import remove_whole, write_whole
from histsearch.reports.document.csv_text import csv_text
from histsearch.reports.document.latex_text import latex_text
from histsearch.reports.document.page import render_page
from histsearch.reports.document.sections import Document
from histsearch.sharing import make_folder

TABLES = "tables"
FIGURES = "figures"
_FILES = "files"
_SUFFIXES = {TABLES: (".csv", ".tex"), FIGURES: (".svg",)}


def write_document(
    document: Document, content: Mapping[str, Any], folder: Path, name: str = "report"
) -> list[Path]:
    """Write a report into a folder, which is made; an earlier one of that name is replaced.

    Files of an earlier report that this one doesn't write are removed, and no others.

    Args:
        document: What is read.
        content: What ``report.json`` holds, besides the names of the other files.
        folder: The folder.
        name: Of the page and of the data: ``report.html`` and ``report.json``.

    Returns:
        The page, and the data.

    Raises:
        OSError: The folder can't be written to.
    """
    page, data = folder / f"{name}.html", folder / f"{name}.json"
    earlier = _earlier_files(data)
    files = _files(document)
    for path, text in files.items():
        make_folder((folder / path).parent)
        write_whole(folder / path, text)
    make_folder(folder)
    written = {**content, _FILES: sorted(files)}
    write_whole(data, (json.dumps(written, indent=2) + "\n").encode())
    write_whole(page, render_page(document).encode())
    for path in earlier - files.keys():
        remove_whole(folder / path)
    return [page, data]


def _files(document: Document) -> dict[str, bytes]:
    """The content of each table and figure by its path within the folder."""
    files = {f"{TABLES}/{table.name}.csv": csv_text(table).encode() for table in document.tables}
    files |= {
        f"{TABLES}/{table.name}.tex": latex_text(table).encode()
        for table in document.tables
        if table.has_latex
    }
    return files | {f"{FIGURES}/{image.name}.svg": image.svg for image in document.images}


def _earlier_files(data: Path) -> set[str]:
    """The tables and figures of the report with that data; none where it can't be read."""
    found: object = None
    with suppress(OSError, ValueError):
        found = json.loads(data.read_bytes())
    names = found.get(_FILES) if isinstance(found, dict) else None
    return {name for name in names or () if isinstance(name, str) and _is_of_a_report(name)}


def _is_of_a_report(name: str) -> bool:
    """Whether a report writes a file of that name, so that one may be removed."""
    path = PurePosixPath(name)
    return len(path.parts) == 2 and path.suffix in _SUFFIXES.get(path.parts[0], ())
