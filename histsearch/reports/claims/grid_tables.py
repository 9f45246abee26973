"""Tables and figures of a grid's scores, each point called by its values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from histsearch.figures.drawn import Drawn
from histsearch.figures.drawn import Missing as NotDrawn
from histsearch.figures.pair_heat_maps import pair_heat_maps
from histsearch.figures.scores_by_value import ValueScores, scores_by_value
from histsearch.figures.searched_study import SearchedStudy, SearchedTrial
from histsearch.reports.claims.grid_scores import GridPoint, GridRun
from histsearch.reports.claims.grid_study import GridStudy
from histsearch.reports.claims.rules import TestedDifference
from histsearch.reports.claims.symbols import meaning, point_text, symbol
from histsearch.reports.document.drawing import shown
from histsearch.reports.document.sections import Image, Missing
from histsearch.reports.document.tables import (
    Cell,
    Column,
    Table,
    difference_cell,
    estimate_column,
    number_cell,
    number_column,
    p_cell,
    percent_cell,
    text_cell,
    text_column,
)
from histsearch.reports.published_claims import (
    apart_from_paper,
    claims_source,
    published_difference,
    published_score,
)
from histsearch.reports.statistics import (
    FEWEST_FOR_INTERVAL,
    Contrast,
    Estimate,
    difference,
    estimate,
    fraction_estimate,
)
from histsearch.space.configuration import Value
from histsearch.studies.stages import TrialStage
from histsearch.wording import value_text

_PERCENT = 100
_OF_ONE_RUN = (
    "Published figures are of one run each, which is taken to vary over seeds as our own do: the "
    "interval of a gap is that of our mean less one more run. The paper chose its configuration by "
    "the same test classes, so that luck is part of its figures."
)
_ABOUT = 'Of layers the paper says "about".'
_SCORED_ON = "test classes"


def grid_figure(grid: GridStudy) -> Image | Missing:
    """The scores of a grid: by the value of its one parameter, or as a heat map of two."""
    one_parameter = len(grid.scores.parameters) == 1
    found = _by_value(grid) if one_parameter else _heat_map(grid)
    titled = replace(found, title=f"{grid.file.place}: {found.title}")
    return shown(titled, grid.file.key, f"Scores are of {_images(grid)}.")


def _by_value(grid: GridStudy) -> Drawn | NotDrawn:
    (parameter,) = grid.scores.parameters
    return scores_by_value(
        [_value_scores(grid, point) for point in grid.scores.points],
        parameter=meaning(parameter),
        objective=grid.study.objective.label,
        scored_on=_SCORED_ON,
    )


def _value_scores(grid: GridStudy, point: GridPoint) -> ValueScores:
    scores = grid.scores.scores(point)
    found = fraction_estimate(scores) if scores else None
    published = _published(grid, point)
    return ValueScores(
        point[0],
        scores,
        None if found is None else found.low,
        None if found is None else found.high,
        None if published is None or _apart(grid) else published / _PERCENT,
    )


def _heat_map(grid: GridStudy) -> Drawn | NotDrawn:
    scores = grid.scores
    return pair_heat_maps(
        SearchedStudy(
            grid.study.objective.label,
            _SCORED_ON,
            {meaning(name): _values(grid, name) for name in scores.parameters},
            [_searched(grid, run) for run in scores.runs],
            None,
            grid.cost.unit,
        )
    )


def _values(grid: GridStudy, parameter: str) -> tuple[Value, ...]:
    values = grid.space.search[parameter]
    assert isinstance(values, tuple)
    return values


def _searched(grid: GridStudy, run: GridRun) -> SearchedTrial:
    params = {meaning(name): value for name, value in grid.scores.named(run.point).items()}
    return SearchedTrial(run.trial, TrialStage.COMPLETE, params, {}, run.score)


def _images(grid: GridStudy) -> str:
    return f"the {_SCORED_ON} of {grid.space.dataset}, {grid.space.backbone}"


def _apart(grid: GridStudy) -> str:
    """What sets its runs apart from the paper's; nothing where they can be compared."""
    space = grid.space
    values = {**space.parameters.defaults, **space.fixed}
    same = {name: value for name, value in values.items() if name not in grid.scores.parameters}
    return apart_from_paper(space.dataset, space.backbone, same)


def _published(grid: GridStudy, point: GridPoint) -> float | None:
    return published_score(grid.scores.named(point))


def points_table(grid: GridStudy) -> Table:
    """The mean score of each point beside what the paper prints, in percent."""
    scores, label = grid.scores, grid.study.objective.label
    published = {point: _published(grid, point) for point in scores.points}
    is_published = any(one is not None for one in published.values())
    columns = [
        *(Column(symbol(name), (name,)) for name in scores.parameters),
        estimate_column(label),
        number_column("runs"),
    ]
    if is_published:
        columns += [number_column(f"published {label}"), estimate_column("gap")]
    return Table(
        name=grid.file.key,
        caption=f"{grid.file.place}: {label} in percent on {_images(grid)}; mean ± 95% interval "
        "over the runs, one a seed.",
        columns=columns,
        rows=[
            _point_row(grid, point, published if is_published else {}) for point in scores.points
        ],
        notes=_notes(is_published),
    )


def _notes(is_published: bool) -> list[str]:
    return [f"Published: {claims_source()}. {_OF_ONE_RUN}"] if is_published else []


def _point_row(
    grid: GridStudy, point: GridPoint, published: Mapping[GridPoint, float | None]
) -> list[Cell]:
    scores = grid.scores.scores(point)
    cells = [
        *(Cell(value_text(value), (value,)) for value in point),
        percent_cell(fraction_estimate(scores) if scores else None),
        number_cell(len(scores)),
    ]
    if not published:
        return cells
    theirs = published[point]
    return [*cells, number_cell(theirs, 1), _gap_cell(grid, scores, theirs)]


def _gap_cell(grid: GridStudy, scores: Sequence[float], published: float | None) -> Cell:
    if published is None or not scores:
        return difference_cell(None)
    apart = _apart(grid)
    if apart:
        return replace(difference_cell(None), text=apart)
    return difference_cell(_gap(scores, published))


def _gap(scores: Sequence[float], published: float) -> Estimate:
    """A mean less a published score, in percent; without an interval for too few runs."""
    if len(scores) < FEWEST_FOR_INTERVAL:
        return replace(estimate(scores), mean=estimate(scores).mean - published / _PERCENT)
    return Contrast.of([scores], [1.0]).less_single_values(published / _PERCENT)


def published_differences_table(grid: GridStudy, reference: GridPoint) -> Table:
    """Each point's difference to one of them, beside the difference that the paper prints.

    Args:
        grid: The grid.
        reference: The point that is taken from the others.
    """
    name = point_text(grid.scores.named(reference))
    others = [point for point in grid.scores.points if point != reference]
    apart = _apart(grid)
    images = f" The paper's are of {apart}." if apart else ""
    return Table(
        name=f"{grid.file.key}-published-differences",
        caption=f"{grid.file.place}: differences to {name} in points, with Welch's 95% interval, "
        f"beside the paper's.{images}",
        columns=[
            Column("values", ("values", "minus")),
            estimate_column("difference"),
            number_column("published difference"),
            estimate_column("gap"),
        ],
        rows=[_difference_row(grid, point, reference) for point in others],
        notes=[*_notes(True), *([_ABOUT] if grid.scores.parameters == ("hgnn_layers",) else [])],
    )


def _difference_row(grid: GridStudy, point: GridPoint, reference: GridPoint) -> list[Cell]:
    scores = grid.scores
    both = scores.scores(point), scores.scores(reference)
    ours = difference(*both)
    theirs = published_difference(scores.named(point), scores.named(reference))
    gap = None
    if ours is not None and theirs is not None:
        gap = Contrast.between(*both).less_single_values(theirs / _PERCENT)
    shown = number_cell(theirs) if theirs is None else Cell(f"{theirs:+.1f}", (theirs,))
    named, minus = (point_text(scores.named(one)) for one in (point, reference))
    return [
        Cell(named, (named, minus)),
        difference_cell(ours),
        shown,
        difference_cell(gap),
    ]


def tested_table(grid: GridStudy, tested: Sequence[TestedDifference]) -> Table:
    """All differences that a claim's rule tested, with their p-values."""
    asks_difference = any(one.p_difference is not None for one in tested)
    return Table(
        name=f"{grid.file.key}-differences",
        caption="Tested differences in points, with Welch's 95% interval.",
        columns=[
            *map(text_column, ("first", "second")),
            estimate_column("difference"),
            *([number_column("p of a difference")] if asks_difference else []),
            *map(number_column, ("p below δ", "p above δ")),
        ],
        rows=[
            [
                *map(text_cell, (one.first, one.second)),
                difference_cell(one.difference),
                *([p_cell(one.p_difference)] if asks_difference else []),
                *map(p_cell, (one.p_below, one.p_above)),
            ]
            for one in tested
        ],
        notes=[
            "p below δ is of the test that shows a difference, or a gain, below δ; p above δ of "
            "the one that shows a difference above it, after Holm's correction over the pairs. An "
            "interval of 95% may reach beyond δ where a one-sided test at 5% succeeds, whose own "
            "is of 90%."
        ],
    )


def runs_table(grids: Sequence[GridStudy]) -> Table:
    """Each complete run, from which all figures can be recomputed."""
    return Table(
        name="runs",
        caption="Each complete run, its score in percent.",
        columns=[
            *map(text_column, ("study", "values")),
            *map(number_column, ("trial", "seed", "score", "hours")),
        ],
        rows=[row for grid in grids for row in _run_rows(grid)],
        most_rows=10,
    )


def _run_rows(grid: GridStudy) -> Iterator[list[Cell]]:
    for run in grid.scores.runs:
        yield [
            text_cell(grid.name),
            text_cell(point_text(grid.scores.named(run.point))),
            number_cell(run.trial),
            Cell(str(run.seed), (run.seed,)),
            number_cell(_PERCENT * run.score, 1),
            number_cell(run.hours, 3),
        ]
