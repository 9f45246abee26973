"""Table 7 of Yuan & Le-Phuoc (2023) for the searches of a report: hours."""

from collections.abc import Iterator, Mapping, Sequence

from histsearch.reports.configuration_costs import ConfigurationCost
from histsearch.reports.document.reported import Reported
from histsearch.reports.document.sections import Missing, Paragraph, Part, Section, ShownTable
from histsearch.reports.document.tables import (
    Cell,
    Column,
    Table,
    configuration_cell,
    hours_cell,
    number_cell,
    number_column,
)
from histsearch.reports.published_results import hours_source, published_hours
from histsearch.reports.report import Report

_MOST_ROWS = 10
_NUMBERS = ("runs", "complete", "epochs", "hours a run", "hours spent", "hours saved")


def cost_section(searches: Sequence[Reported]) -> Section:
    """What the searches and retrainings cost, and what was saved by not training to the end."""
    kinds = dict.fromkeys(_hours_of(one.report) for one in searches)
    parts: list[Part] = [
        Paragraph(
            f"Hours are wall-clock hours of {' or '.join(kinds)}. Hours a run are the mean over "
            "the runs that were trained to their end; hours saved are what the pruned trials would "
            "still have taken, each at its own pace."
        )
    ]
    for one in searches:
        if one.report.slots > 1:
            parts.append(
                Paragraph(
                    f"Trials of {one.name} ran on up to {one.report.slots} slots of a device, "
                    "where a second on one of N counts 1/N."
                )
            )
    known = [one for one in searches if one.report.costs]
    if known:
        parts += [ShownTable(_hours(known)), ShownTable(_by_configuration(known))]
    parts += [
        Missing(f"Hours of {one.name}", "no trial has begun.")
        for one in searches
        if not one.report.costs
    ]
    return Section("cost", "Cost", parts)


def _hours_of(report: Report) -> str:
    return "a GPU" if report.search_cost.accelerated else "a worker on a CPU"


def _hours(searches: Sequence[Reported]) -> Table:
    published = [one for one in searches if _published(one.report) is not None]
    return Table(
        name="hours",
        caption="Hours of each search as a whole, and of each retrained configuration.",
        columns=[
            Column("data set, backbone", ("data set", "backbone")),
            Column("configuration", ("study", "configuration")),
            *map(number_column, _NUMBERS),
        ],
        rows=[row for one in searches for row in _rows(one, searches)],
        notes=[f"The paper's: on a V100. {hours_source()}."] if published else [],
        has_latex=True,
    )


def _configuration(
    one: Reported, parameters: Mapping[str, object], searches: Sequence[Reported]
) -> Cell:
    shown = configuration_cell(parameters)
    name = "" if len(searches) == 1 else f"{one.name}: "
    return Cell(name + shown.text, (one.name, *shown.exact))


def _pair(report: Report) -> Cell:
    return Cell(f"{report.dataset}, {report.backbone}", (report.dataset, report.backbone))


def _published(report: Report) -> tuple[float, int] | None:
    return published_hours(report.dataset, report.backbone)


def _rows(one: Reported, searches: Sequence[Reported]) -> Iterator[list[Cell]]:
    report = one.report
    published = _published(report)
    if published is not None:
        hours, epochs = published
        yield [
            _pair(report),
            Cell("the paper's", (None, "the paper's")),
            *map(number_cell, (1, 1, epochs)),
            *(number_cell(hours, 1), number_cell(None), number_cell(None)),
        ]
    costs = {} if report.search_total is None else {"the search": report.search_total}
    for label, cost in {**costs, **report.retraining_costs}.items():
        yield [
            _pair(report),
            Cell(label if len(searches) == 1 else f"{one.name}: {label}", (one.name, label)),
            *_numbers(cost),
        ]


def _by_configuration(searches: Sequence[Reported]) -> Table:
    costs = [(one, cost) for one in searches for cost in one.report.costs]
    return Table(
        name="hours-by-configuration",
        caption="Hours of each configuration that was searched, those that cost most first.",
        columns=[
            Column("configuration", ("study", "configuration")),
            *map(number_column, _NUMBERS),
        ],
        rows=[
            [_configuration(one, cost.parameters, searches), *_numbers(cost)]
            for one, cost in sorted(costs, key=lambda each: -each[1].hours_spent)
        ],
        most_rows=_MOST_ROWS,
    )


def _numbers(cost: ConfigurationCost) -> list[Cell]:
    return [
        *map(number_cell, (cost.trials, cost.complete, cost.epochs)),
        *(hours_cell(one) for one in (cost.hours_a_run, cost.hours_spent, cost.hours_saved)),
    ]
