"""The searches that were tuned alike, as a table and as a figure."""

from collections.abc import Iterator, Sequence

from histsearch.figures.losses import LossScores, losses
from histsearch.reports.document.drawing import shown
from histsearch.reports.document.reported import LEGEND, MARK, selected_on
from histsearch.reports.document.sections import Part, ShownTable
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
)
from histsearch.reports.ranking import RankedSearch, Ranking

_NAME = "losses"
_RELATIONS = ("better than", "equivalent to", "undecided with")
_NOTES = (
    "Undecided with: a difference could be luck, or there are too few seeds for a verdict, or no "
    "score varies over seeds.",
    "Intervals and verdicts are over seeds of each search's winner. The luck of the search itself "
    "isn't in them: repeated with another seed in [protocol], it may find another winner.",
)


def ranking_parts(rankings: Sequence[Ranking]) -> Iterator[Part]:
    """A table and a figure of each ranking."""
    for number, one in enumerate(rankings, start=1):
        name = _NAME if len(rankings) == 1 else f"{_NAME}-{number}"
        yield ShownTable(_table(one, name))
        found = losses([_tested(each, one) for each in one.compared], one.objective)
        yield shown(found, name)


def _tested(one: RankedSearch, ranking: Ranking) -> LossScores:
    assert one.score is not None
    return LossScores(
        ranking.names[one.study], one.scores, one.score.mean, one.score.low, one.score.high
    )


def _table(ranking: Ranking, name: str) -> Table:
    return Table(
        name=name,
        caption=f"Searches on {ranking.dataset} with {ranking.backbone} that were tuned alike: "
        f"{ranking.objective} of their winners on the test classes in percent, mean ± 95% interval "
        "over seeds, and hours.",
        columns=[
            Column("loss", ("study", "loss", "selected on")),
            estimate_column(ranking.objective),
            *(Column(title, (title,)) for title in _RELATIONS),
            *map(number_column, ("trials", "epochs", "hours of the search", "hours of a run")),
        ],
        rows=[_row(one, ranking) for one in ranking.searches],
        notes=[
            f"Equivalent to: {ranking.within}.",
            *_NOTES,
            *_of_devices(ranking),
            *([LEGEND] if ranking.on_test_classes else []),
        ],
        has_latex=True,
    )


def _of_devices(ranking: Ranking) -> Iterator[str]:
    """That hours don't compare where devices differ, a note."""
    if len(ranking.devices) > 1:
        yield f"Hours don't compare, as devices differ: {', '.join(ranking.devices)}."


def _row(one: RankedSearch, ranking: Ranking) -> list[Cell]:
    mark = MARK if ranking.on_test_classes else ""
    score = empty_cell(4) if one.score is None else percent_cell(one.score)
    n = "" if one.score is None else f", n = {one.score.n}"
    relations = (one.better_than, one.equivalent_to, one.undecided_with)
    return [
        Cell(
            ranking.names[one.study] + mark,
            (one.study, one.loss, selected_on(ranking.on_test_classes)),
        ),
        Cell(score.text + n, score.exact),
        *(_studies_cell(studies, ranking) for studies in relations),
        *map(number_cell, (one.trials, one.epochs)),
        *map(hours_cell, (one.search_hours, one.run_hours)),
    ]


def _studies_cell(studies: Sequence[str], ranking: Ranking) -> Cell:
    return Cell(", ".join(ranking.names[one] for one in studies), (", ".join(studies) or None,))
