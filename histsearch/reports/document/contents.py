"""What a report's document holds."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from histsearch.reports.document.background_section import background_section
from histsearch.reports.document.comparisons_section import comparisons_section
from histsearch.reports.document.cost_section import cost_section
from histsearch.reports.document.embeddings_section import embeddings_section
from histsearch.reports.document.gathered import Gathered
from histsearch.reports.document.parameters_section import parameters_section
from histsearch.reports.document.results_section import results_section
from histsearch.reports.document.search_section import search_section
from histsearch.reports.document.sections import Document
from histsearch.reports.document.verdict_section import verdict_section
from histsearch.reports.document.writing import write_document

_MOST_NAMES = 3


def write_report(gathered: Gathered, folder: Path, data_dir: Path) -> list[Path]:
    """Write the report of some searches; as `write_document`.

    Args:
        gathered: What it is made of.
        folder: Where it is written to.
        data_dir: The folder of the data sets, for thumbnails.
    """
    return write_document(build_document(gathered, data_dir), as_data(gathered), folder)


def build_document(gathered: Gathered, data_dir: Path) -> Document:
    """The document of some searches; thumbnails are of images in the folder of the data sets."""
    searches = gathered.searches
    names = [one.name for one in searches]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return Document(
        title=f"{', '.join(names[:_MOST_NAMES])}{more}: report of histsearch",
        sections=[
            verdict_section(gathered),
            results_section(searches),
            comparisons_section(gathered),
            cost_section(searches),
            parameters_section(searches),
            search_section(searches),
            embeddings_section(searches, data_dir),
            background_section(searches),
        ],
    )


def as_data(gathered: Gathered) -> Mapping[str, Any]:
    """The contents of ``report.json``."""
    return {
        "studies": [
            asdict(one.report) | {"images": one.report.images and one.report.images.to_json()}
            for one in gathered.searches
        ],
        "comparisons_between_studies": [asdict(one) for one in gathered.across],
        "not_compared": list(gathered.apart),
        "rankings": [asdict(one) for one in gathered.rankings],
    }
