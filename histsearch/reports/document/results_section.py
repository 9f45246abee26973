"""Tables 2 and 3 of Yuan & Le-Phuoc (2023), with the searches of a report beside the paper's."""

from collections.abc import Iterator, Mapping, Sequence

from histsearch.reports.document.reported import (
    LEGEND,
    MARK,
    Reported,
    legend,
    of_search,
    selected_on,
    tested_on,
)
from histsearch.reports.document.sections import (
    Bullets,
    Missing,
    Paragraph,
    Part,
    Section,
    ShownTable,
)
from histsearch.reports.document.tables import (
    Cell,
    Column,
    Table,
    empty_cell,
    estimate_column,
    hours_cell,
    number_cell,
    number_column,
    percent_cell,
    published_cell,
)
from histsearch.reports.published_results import configurations_source, published_configurations
from histsearch.reports.report import Report, Retrained
from histsearch.space.configuration import Value
from histsearch.wording import configuration_text, value_text

_ROWS = {
    "original authors": "[OA] original authors",
    "reproduced": "[RE] reproduced",
    "tuned": "[TUNE] the paper's search",
}
_MOST_PARAMETERS = 8  # that have a column each
_ON_TEST_CLASSES = ("reproduced", "tuned")
_FIRST_COLUMNS = (
    Column("data set, backbone", ("data set", "backbone")),
    Column("configuration", ("study", "configuration", "selected on")),
)


def results_section(searches: Sequence[Reported]) -> Section:
    """The configurations, and their figures on the test classes beside the published ones."""
    parts: list[Part] = []
    retrained = [one for one in searches if one.report.retrained]
    if retrained:
        parts += [
            Paragraph(
                "Each configuration was retrained on the full training half with several seeds and "
                "tested once, on the test classes, after its last epoch."
            ),
        ]
    known = [one for one in searches if one.report.retrained or one.report.published]
    if known:
        parts += [ShownTable(_configurations(known)), ShownTable(_results(known))]
    if retrained:
        parts.append(ShownTable(_runs(retrained)))
    for one in searches:
        parts += _missing(one.report)
    return Section("results", "Configurations and results", parts)


def _configurations(searches: Sequence[Reported]) -> Table:
    """Table 2."""
    names: dict[str, None] = {}
    for one in searches:
        for parameters in _published(one.report).values():
            names |= dict.fromkeys(parameters)
        for ours in one.report.retrained:
            names |= dict.fromkeys(ours.parameters)
    is_published = any(_published(one.report) for one in searches)
    return Table(
        name="configurations",
        caption="The searched hyperparameters of each configuration.",
        columns=[*_FIRST_COLUMNS, *_value_columns(tuple(names))],
        rows=[
            row
            for pair in _by_pair(searches)
            for row in _configuration_rows(pair, searches, tuple(names))
        ],
        notes=[
            *([f"[OA] and [TUNE]: {configurations_source()}."] if is_published else []),
            *_legend(searches),
        ],
        has_latex=True,
    )


def _legend(searches: Sequence[Reported]) -> list[str]:
    """The legend of the marks, which published rows have as well."""
    return [LEGEND] if any(one.report.published for one in searches) else legend(searches)


def _configuration_rows(
    pair: Sequence[Reported], every: Sequence[Reported], names: tuple[str, ...]
) -> Iterator[list[Cell]]:
    """The published configurations of a data set and backbone, then those of its searches."""
    report = pair[0].report
    for row, parameters in _published(report).items():
        yield [*_row_of(report, row), *_value_cells(parameters, names)]
    for one in pair:
        for ours in one.report.retrained:
            yield [*_own_row(one, ours, every), *_value_cells(ours.parameters, names)]


def _published(report: Report) -> dict[str, dict[str, Value]]:
    """The configurations of Table 2 for a search's data set and backbone."""
    return published_configurations(report.dataset, report.backbone)


def _row_of(report: Report, row: str) -> list[Cell]:
    """The first cells of a published row."""
    name = _ROWS.get(row, row)
    if row in _ON_TEST_CLASSES:
        return [_pair(report), Cell(name + MARK, (None, name, selected_on(True)))]
    return [_pair(report), Cell(name, (None, name, None))]


def _own_row(one: Reported, ours: Retrained, searches: Sequence[Reported]) -> list[Cell]:
    """The first cells of a retrained configuration's row."""
    return [_pair(one.report), _own_cell(one, ours, searches)]


def _own_cell(one: Reported, ours: Retrained, searches: Sequence[Reported]) -> Cell:
    cell = of_search(one, ours.label, searches)
    return Cell(cell.text, (*cell.exact, selected_on(one.report.on_test_classes)))


def _pair(report: Report) -> Cell:
    return Cell(f"{report.dataset}, {report.backbone}", (report.dataset, report.backbone))


def _value_columns(names: tuple[str, ...]) -> list[Column]:
    """A column for each hyperparameter; of those of several losses, one for all."""
    if len(names) > _MOST_PARAMETERS:
        return [Column("hyperparameters", names)]
    return list(map(number_column, names))


def _value_cells(values: Mapping[str, Value], names: tuple[str, ...]) -> list[Cell]:
    exact = tuple(map(values.get, names))
    if len(names) > _MOST_PARAMETERS:
        return [Cell(configuration_text(values), exact)]
    return [empty_cell() if value is None else Cell(value_text(value), (value,)) for value in exact]


def _results(searches: Sequence[Reported]) -> Table:
    """Table 3."""
    labels = _labels(searches)
    sources = dict.fromkeys(one.report.published_source for one in searches if one.report.published)
    return Table(
        name="results",
        caption="Figures on the test classes, in percent; ours as mean ± 95% interval over seeds.",
        columns=[
            *_FIRST_COLUMNS,
            *map(number_column, ("epochs", "seeds")),
            *map(estimate_column, labels),
        ],
        rows=[row for pair in _by_pair(searches) for row in _rows(pair, searches, labels)],
        notes=[
            *(f"[OA], [RE] and [TUNE]: {source}." for source in sources),
            *(tested_on(one) for one in searches if one.report.retrained and one.report.images),
            *_legend(searches),
        ],
        has_latex=True,
    )


def _by_pair(searches: Sequence[Reported]) -> list[list[Reported]]:
    """The searches of each data set and backbone."""
    pairs: dict[tuple[str, str], list[Reported]] = {}
    for one in searches:
        pairs.setdefault((one.report.dataset, one.report.backbone), []).append(one)
    return list(pairs.values())


def _rows(
    pair: Sequence[Reported], every: Sequence[Reported], labels: Sequence[str]
) -> Iterator[list[Cell]]:
    """The published rows of a data set and backbone, then those of its searches."""
    report = pair[0].report
    for row, figures in report.published.items():
        yield [
            *_row_of(report, row),
            *(empty_cell(), empty_cell()),
            *(published_cell(figures.get(label)) for label in labels),
        ]
    for one in pair:
        for ours in one.report.retrained:
            yield [
                *_own_row(one, ours, every),
                *(number_cell(ours.epochs), number_cell(len(ours.scores))),
                *(percent_cell(ours.figures.get(label)) for label in labels),
            ]


def _labels(searches: Sequence[Reported]) -> list[str]:
    """The metrics that any row has a figure of."""
    found: dict[str, None] = {}
    for one in searches:
        for ours in one.report.retrained:
            found |= dict.fromkeys(ours.figures)
        for figures in one.report.published.values():
            found |= dict.fromkeys(figures)
    return list(found)


def _runs(searches: Sequence[Reported]) -> Table:
    """The figures of each seed, from which those of Table 3 can be recomputed."""
    labels = _labels(searches)
    shown: list[tuple[Reported, Retrained]] = [
        (one, ours) for one in searches for ours in one.report.retrained
    ]
    return Table(
        name="runs",
        caption="Figures of each run on the test classes, in percent.",
        columns=[
            _FIRST_COLUMNS[1],
            *map(number_column, ("seed", "hours")),
            *map(number_column, labels),
        ],
        rows=[
            [
                _own_cell(one, ours, searches),
                Cell(str(run.seed), (run.seed,)),
                hours_cell(run.hours),
                *(_percent_of(run.figures.get(label)) for label in labels),
            ]
            for one, ours in shown
            for run in ours.runs
        ],
        notes=legend(searches),
    )


def _percent_of(fraction: float | None) -> Cell:
    return number_cell(None if fraction is None else 100 * fraction, 1)


def _missing(report: Report) -> Iterator[Part]:
    """What the figures lack: runs to come, runs that failed, lengths that are in doubt."""
    for warning in report.retraining_warnings:
        yield Paragraph(f"{warning}.", is_warning=True)
    for half in report.half_created_retrainings:
        yield Paragraph(f"Left out: {half}.", is_warning=True)
    for name in report.unfinished_retrainings:
        yield Missing(f"Runs of {name}", _to_come(report, name))
    if report.failed_runs:
        yield Missing(f"Runs of {report.study} without a figure", "each for its reason:")
        yield Bullets(report.failed_runs)
    if not (report.retrained or report.unfinished_retrainings or report.failed_runs):
        yield Missing(f"Figures of {report.study} on the test classes", _untested(report))


def _to_come(report: Report, name: str) -> str:
    if any(one.study == name for one in report.retrained):
        return "some are still to come; its figures are of those so far."
    return "none is complete yet, so it has no figures."


def _untested(report: Report) -> str:
    if report.best is None:
        return "no trial of the search is complete, so there is nothing to retrain yet."
    return f"not retrained yet: histsearch retrain {report.study}, then workers."
