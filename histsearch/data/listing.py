"""Text listings, as the Stanford Online Products and In-Shop data sets have them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from histsearch.data.file_system import check_plain
from histsearch.exceptions import DataError


class Row(NamedTuple):
    """One line of a listing: where it stands, for messages, and its fields."""

    place: str
    fields: list[str]


def read_listing(path: Path, *, header_lines: int, columns: tuple[str, ...]) -> Iterator[Row]:
    """Read the rows of a listing with columns parted by white space.

    Args:
        path: The file.
        header_lines: Lines to skip at its start.
        columns: Names of the columns.

    Yields:
        Every row below the header, blank lines left out.

    Raises:
        DataError: If the file is missing, isn't text, or a row has another number of fields.
    """
    try:
        check_plain(path)
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The listing {path} can't be read ({error}): unpack the data set there."
        ) from error
    for number, line in enumerate(lines[header_lines:], start=header_lines + 1):
        fields = line.split()
        if not fields:
            continue
        place = f"{path}, line {number}"
        if len(fields) != len(columns):
            raise DataError(
                f"{place}, holds {len(fields)} fields instead of the {len(columns)} expected "
                f"({', '.join(columns)}): unpack the data set again."
            )
        yield Row(place, fields)
