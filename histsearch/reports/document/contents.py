"""What a report's document holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from histsearch.database.storage import Storage
from histsearch.reports.collect import build_report, find_search
from histsearch.reports.document.background_section import background_section
from histsearch.reports.document.cost_section import cost_section
from histsearch.reports.document.embeddings_section import embeddings_section
from histsearch.reports.document.parameters_section import parameters_section
from histsearch.reports.document.reported import Reported
from histsearch.reports.document.results_section import results_section
from histsearch.reports.document.search_section import search_section
from histsearch.reports.document.sections import Document
from histsearch.reports.document.verdict_section import verdict_section
from histsearch.reports.document.writing import write_document
from histsearch.studies.retraining_seeds import retrainings_of

_MOST_NAMES = 3


def gather(storage: Storage, names: Sequence[str]) -> list[Reported]:
    """What a report shows of some studies, each search once.

    Args:
        storage: Where they are.
        names: Searches, or retrainings, which stand for theirs.

    Raises:
        StudyError: There is no such study.
    """
    searches = {one.name: one for one in (find_search(storage, name) for name in names)}
    return [
        Reported(study, retrainings_of(study), build_report(storage, name))
        for name, study in searches.items()
    ]


def write_report(searches: Sequence[Reported], folder: Path, data_dir: Path) -> list[Path]:
    """Write the report of some searches; as `write_document`.

    Args:
        searches: The searches.
        folder: Where it is written to.
        data_dir: The folder of the data sets, for thumbnails.
    """
    return write_document(build_document(searches, data_dir), as_data(searches), folder)


def build_document(searches: Sequence[Reported], data_dir: Path) -> Document:
    """The document of some searches; thumbnails are of images in the folder of the data sets."""
    names = [one.name for one in searches]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return Document(
        title=f"{', '.join(names[:_MOST_NAMES])}{more}: report of histsearch",
        sections=[
            verdict_section(searches),
            results_section(searches),
            cost_section(searches),
            parameters_section(searches),
            search_section(searches),
            embeddings_section(searches, data_dir),
            background_section(searches),
        ],
    )


def as_data(searches: Sequence[Reported]) -> Mapping[str, Any]:
    """The contents of ``report.json``."""
    return {
        "studies": [
            asdict(one.report) | {"images": one.report.images and one.report.images.to_json()}
            for one in searches
        ]
    }
