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
            "Every value that a run is trained with: those searched, those that the space fixes, "
            "and those left at their defaults."
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
        [text_cell(name), *(text_cell(value) for _ in shown), text_cell("the space's")]
        for name, value in whole.items()
    ]
    rows.append(
        [text_cell("epochs"), *(_cell(full.epochs) for full in shown), text_cell("training length")]
    )
    for name in names:
        origins = dict.fromkeys(full.origins[name] for full in shown if name in full.origins)
        rows.append(
            [
                text_cell(name),
                *(_cell(full.values.get(name)) for full in shown),
                text_cell(" or ".join(origins)),
            ]
        )
    return Table(
        name=file_name("parameters", one, searches),
        caption=f"Every value of the configurations of {one.name}.",
        columns=[
            text_column("parameter"),
            *(Column(full.label + one.mark, (full.label,), is_numeric=True) for full in shown),
            text_column("origin"),
        ],
        rows=rows,
        has_latex=True,
    )


def _cell(value: Value | None) -> Cell:
    return empty_cell() if value is None else Cell(value_text(value), (value,))
