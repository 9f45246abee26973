"""Which retrained configurations are better, equivalent or undecided."""

from collections.abc import Sequence

from histsearch.reports.comparisons import FEWEST_SEEDS, Comparison
from histsearch.reports.document.gathered import Gathered
from histsearch.reports.document.reported import MARK, Reported, legend
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
    number_cell,
    number_column,
    text_cell,
    text_column,
)
from histsearch.reports.statistics import (
    CORRECTION,
    DIFFERENCE_METHOD,
    EQUIVALENCE_METHOD,
    FEWEST_FOR_INTERVAL,
    INTERVAL_METHOD,
)

_POINTS = 100
_LEAST_P = 0.001


def comparisons_section(gathered: Gathered) -> Section:
    """The verdict on each comparison, within searches and between them."""
    searches = gathered.searches
    made = [(one, found) for one in searches for found in one.report.comparisons]
    parts: list[Part] = []
    for one in searches:
        if one.report.winner_is_baseline is not None:
            parts.append(
                Paragraph(
                    f'The winner of {one.name} is its baseline "{one.report.winner_is_baseline}": '
                    "there is no gain over it to judge."
                )
            )
    if made or gathered.across:
        parts += [
            Paragraph(_methods(len(made) + len(gathered.across))),
            Bullets([one.sentence for one in (*(found for _, found in made), *gathered.across)]),
            ShownTable(_table(made, gathered.across, searches)),
        ]
    parts += [
        Missing(f"A comparison for {one.name}", _why_none(one))
        for one in searches
        if not one.report.comparisons
    ]
    parts += [Missing("A comparison between searches", reason) for reason in gathered.apart]
    return Section("comparisons", "Comparisons", parts)


def _methods(number: int) -> str:
    corrected = (
        f" P-values are corrected by {CORRECTION} method over the {number} comparisons of this "
        "report, by itself for differences and for equivalences."
    )
    correction = corrected if number > 1 else ""
    return (
        f"Means over seeds have {INTERVAL_METHOD}, and differences {DIFFERENCE_METHOD}; both take "
        f"at least {FEWEST_FOR_INTERVAL} seeds a side. Equivalence within δ is shown by "
        f"{EQUIVALENCE_METHOD}. A verdict takes at least {FEWEST_SEEDS} seeds a side.{correction}"
    )


def _table(
    made: Sequence[tuple[Reported, Comparison]],
    across: Sequence[Comparison],
    searches: Sequence[Reported],
) -> Table:
    return Table(
        name="comparisons",
        caption="Differences on the test classes in points, with their 95% interval.",
        columns=[
            Column("first", ("study", "first")),
            *map(text_column, ("second", "metric", "verdict")),
            Column(
                "difference",
                ("difference", "difference low", "difference high", "difference n"),
                is_numeric=True,
            ),
            *map(number_column, ("δ", "p of difference", "p of equivalence", "correlation")),
            *map(number_column, ("gain in the search", "gain on test", "seeds to add")),
        ],
        rows=[
            *(_row(found, one.name, one.mark) for one, found in made),
            *(_row(found, "", MARK if _is_marked(searches) else "") for found in across),
        ],
        notes=legend(searches),
    )


def _is_marked(searches: Sequence[Reported]) -> bool:
    """Whether searches that were compared selected on the test classes; all have one protocol."""
    return any(one.mark for one in searches)


def _row(found: Comparison, study: str, mark: str) -> list[Cell]:
    luck = found.luck
    gains = (None, None) if luck is None else (luck.validation_gain, luck.test_gain)
    return [
        Cell(found.first + mark, (study, found.first)),
        *map(text_cell, (found.second, found.objective, found.verdict)),
        _difference_cell(found),
        number_cell(_POINTS * found.delta, 1),
        *map(_p_cell, (found.p_difference, found.p_equivalence)),
        number_cell(found.correlation, 2),
        *(number_cell(None if gain is None else _POINTS * gain, 1) for gain in gains),
        number_cell(found.seeds_to_add),
    ]


def _p_cell(p_value: float | None) -> Cell:
    if p_value is not None and p_value < _LEAST_P:
        return Cell(f"< {_LEAST_P}", (p_value,))
    return number_cell(p_value, 3)


def _difference_cell(found: Comparison) -> Cell:
    value = found.difference
    if value is None or value.low is None or value.high is None:
        return Cell("", (None,) * 4)
    mean, low, high = (_POINTS * one for one in (value.mean, value.low, value.high))
    return Cell(f"{mean:+.1f} ({low:+.1f} to {high:+.1f})", (mean, low, high, value.n))


def _why_none(one: Reported) -> str:
    report = one.report
    if not report.retrained:
        return "nothing of it was retrained and tested yet."
    if report.winner_is_baseline is not None:
        return "its winner is the baseline, and no other configuration was retrained beside it."
    return (
        "no retraining has two configurations; histsearch retrain "
        f"{report.study} --name {report.study}-baseline --baseline NAME makes one that has."
    )
