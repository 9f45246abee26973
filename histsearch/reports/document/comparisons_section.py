"""Which retrained configurations are better, equivalent or undecided."""

from collections.abc import Sequence

from histsearch.reports.comparisons import FEWEST_SEEDS, Comparison
from histsearch.reports.document.gathered import Gathered
from histsearch.reports.document.ranking_parts import ranking_parts
from histsearch.reports.document.reported import LEGEND, MARK, Reported, selected_on
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
    difference_cell,
    number_cell,
    number_column,
    p_cell,
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


def comparisons_section(gathered: Gathered) -> Section:
    """The verdict on each comparison, within searches and between them."""
    searches = gathered.searches
    made = [(one, found) for one in searches for found in one.report.comparisons]
    parts: list[Part] = [*ranking_parts(gathered.rankings)]
    for one in searches:
        names = " and ".join(f'"{name}"' for name in one.report.baselines_of_winner)
        if names:
            parts.append(
                Paragraph(
                    f"The winner of {one.name} is its baseline {names}: there is no gain over it "
                    "to judge."
                )
            )
    every = [*(found for _, found in made), *gathered.across]
    if every:
        parts += [
            Paragraph(_methods(sum(one.p_difference is not None for one in every))),
            Bullets([one.sentence for one in every]),
            ShownTable(_table(made, gathered.across)),
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
        "report that have a verdict, separately for differences and for equivalences. Intervals "
        "are not corrected, so one may leave 0 out where the verdict is undecided."
    )
    correction = corrected if number > 1 else ""
    return (
        f"The interval of a mean over seeds is {INTERVAL_METHOD}, from {FEWEST_FOR_INTERVAL} seeds "
        f"on; that of a difference is {DIFFERENCE_METHOD}, from {FEWEST_FOR_INTERVAL} seeds a side "
        f"on. Equivalence within δ is shown by "
        f"{EQUIVALENCE_METHOD}. A verdict takes at least {FEWEST_SEEDS} seeds a side.{correction}"
    )


def _table(
    made: Sequence[tuple[Reported, Comparison]],
    across: Sequence[Comparison],
) -> Table:
    is_marked = any(found.on_test_classes for found in (*(found for _, found in made), *across))
    return Table(
        name="comparisons",
        caption="Differences on the test classes in points, with their 95% interval.",
        columns=[
            Column("first", ("study", "first", "selected on")),
            Column("second", ("second study", "second")),
            *map(text_column, ("metric", "verdict")),
            Column(
                "difference",
                ("difference", "difference low", "difference high", "difference n"),
                is_numeric=True,
            ),
            *map(number_column, ("δ", "p of difference", "p of equivalence", "correlation")),
            *map(number_column, ("gain in the search", "gain on test", "lost")),
            *map(number_column, ("seeds to add", "runs to come")),
        ],
        rows=[
            *(_row(found, one.name, one.name) for one, found in made),
            *(_row(found, found.first_search, found.second_search) for found in across),
        ],
        notes=[LEGEND] if is_marked else [],
    )


def _row(found: Comparison, first_study: str, second_study: str) -> list[Cell]:
    luck = found.luck
    gains = (None,) * 3 if luck is None else (luck.validation_gain, luck.test_gain, luck.lost)
    mark = MARK if found.on_test_classes else ""
    first, second = found.names
    return [
        Cell(first + mark, (first_study, found.first, selected_on(found.on_test_classes))),
        Cell(second + mark, (second_study, found.second)),
        *map(text_cell, (found.objective, found.verdict)),
        difference_cell(found.difference),
        number_cell(_POINTS * found.delta, 1),
        *map(p_cell, (found.p_difference, found.p_equivalence)),
        number_cell(found.correlation, 2),
        *(number_cell(None if gain is None else _POINTS * gain, 1) for gain in gains),
        *map(number_cell, (found.seeds_to_add, found.runs_to_come)),
    ]


def _why_none(one: Reported) -> str:
    report = one.report
    if not report.retrained:
        return "nothing of it was retrained and tested yet."
    if report.baselines_of_winner:
        return "its winner is the baseline, and no other configuration was retrained beside it."
    return (
        "no retraining has two configurations; histsearch retrain "
        f"{report.study} --name {report.study}-baseline --baseline NAME makes one that has."
    )
