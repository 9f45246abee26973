"""Tables 8 and 9 of Yuan & Le-Phuoc (2023) for the searches of a report: every value."""

from collections.abc import Sequence

from histsearch.reports.document.names import file_name
from histsearch.reports.document.reported import Reported
from histsearch.reports.document.sections import Missing, Paragraph, Part, Section, ShownTable
from histsearch.reports.document.tables import (
    Cell,
    Column,
    Table,
    empty_cell,
    text_cell,
    text_column,
)
from histsearch.space.configuration import Value
from histsearch.wording import value_text


def parameters_section(searches: Sequence[Reported]) -> Section:
    """Every value that the configurations of each search were trained with."""
    parts: list[Part] = [
        Paragraph(
            "Every value that a run is trained with, and its origin: space (what the search is "
            "of), length (the epochs that the space or the retraining has chosen, or a baseline's "
            "own), searched, fixed (by the space), baseline (set by one), default, or backbone "
            "(its own)."
        )
    ]
    for one in searches:
        if one.report.configurations:
            parts.append(ShownTable(_parameters(one, searches)))
        else:
            parts.append(
                Missing(
                    f"The full configuration of {one.name}",
                    "there is no winner yet, and nothing was retrained; the space below has what "
                    "it fixes.",
                )
            )
    return Section("parameters", "Full configurations", parts)


def _parameters(one: Reported, searches: Sequence[Reported]) -> Table:
    report = one.report
    shown = report.configurations
    names = list(dict.fromkeys(name for full in shown for name in full.values))
    whole = {
        "data set": report.dataset,
        "backbone": report.backbone,
        "initial weights": report.weights,
        "loss": report.loss,
    }
    rows = [
        [text_cell(name), text_cell("space"), *(text_cell(value) for _ in shown)]
        for name, value in whole.items()
    ]
    rows.append([text_cell("epochs"), text_cell("length"), *(_cell(full.epochs) for full in shown)])
    for name in names:
        origins = dict.fromkeys(full.origins[name] for full in shown if name in full.origins)
        rows.append(
            [
                text_cell(name),
                text_cell(" or ".join(origins)),
                *(_cell(full.values.get(name)) for full in shown),
            ]
        )
    return Table(
        name=file_name("parameters", one, searches),
        caption=f"Every value of the configurations of {one.name}.",
        columns=[
            *map(text_column, ("parameter", "origin")),
            *(Column(full.label + one.mark, (full.label,)) for full in shown),
        ],
        rows=rows,
        has_latex=True,
    )


def _cell(value: Value | None) -> Cell:
    if value is None:
        return empty_cell()
    return Cell(str(value).lower() if isinstance(value, bool) else value_text(value), (value,))
