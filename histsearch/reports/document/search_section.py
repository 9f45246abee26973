"""How a search went, and what it learned of its hyperparameters."""

from collections.abc import Iterator, Sequence

from histsearch.figures.learning_curves import learning_curves
from histsearch.figures.pair_heat_maps import pair_heat_maps
from histsearch.figures.search_history import search_history
from histsearch.figures.searched_study import searched_study
from histsearch.figures.slices import slices
from histsearch.figures.variance_shares import variance_shares
from histsearch.reports.document.drawing import placed
from histsearch.reports.document.names import file_name
from histsearch.reports.document.reported import Reported, judged_on
from histsearch.reports.document.sections import (
    Bullets,
    Heading,
    Missing,
    Paragraph,
    Part,
    Section,
    ShownTable,
)
from histsearch.reports.document.tables import (
    Table,
    number_cell,
    number_column,
    text_cell,
    text_column,
)
from histsearch.wording import counted

_MOST_FAILURES = 10


def search_section(searches: Sequence[Reported]) -> Section:
    """History, learning curves, slices, pairs and what mattered, for each search."""
    parts: list[Part] = []
    for one in searches:
        if len(searches) > 1:
            parts.append(Heading(one.name))
        parts += _search(one, searches)
    return Section("search", "The search", parts)


def _search(one: Reported, searches: Sequence[Reported]) -> Iterator[Part]:
    report, mattered = one.report, one.report.mattered
    yield Paragraph(_progress(one))
    yield from _failures(one)
    shown = searched_study(one.study, report.best.parameters if report.best else None)
    shares = [*mattered.parameters, *mattered.pairs]
    for found in (
        search_history(shown),
        learning_curves(shown),
        slices(shown, shares),
        pair_heat_maps(shown, shares),
    ):
        yield placed(found, one, searches, judged_on(one))
    yield placed(variance_shares(shares), one, searches)
    if mattered.parameters:
        yield ShownTable(_shares(one, searches))
    if mattered.parameters and not mattered.pairs:
        yield Paragraph("No pair of parameters explains as much as 5% of the variance.")
    for edge in mattered.edges:
        yield Paragraph(f"The winner lies at an edge of the space: {edge}.", is_warning=True)
    for edge in mattered.other_edges:
        yield Paragraph(f"At an edge of the space: {edge}.", is_warning=True)
    if report.best is None:
        yield Missing("Whether the winner lies at an edge of the space", "there is no winner yet.")


def _progress(one: Reported) -> str:
    report = one.report
    counts = [counted(number, f"{state.lower()} trial") for state, number in report.trials.items()]
    so_far = f"{', '.join(counts) or 'no trial'} of a budget of {report.budget}"
    end = f"It ended: {report.ended}." if report.ended else f"It is {report.state}."
    judged = (
        f" Its winner was chosen {report.best.judged}."
        if report.best and report.best.judged
        else ""
    )
    return f"The search {one.name}: {so_far}. {end}{judged}"


def _failures(one: Reported) -> Iterator[Part]:
    failures = one.report.failures
    if not failures:
        return
    yield Missing(
        f"The scores of {counted(len(failures), 'trial')} that failed", "the reasons are:"
    )
    more = len(failures) - _MOST_FAILURES
    yield Bullets([*failures[:_MOST_FAILURES], *([f"and {more} more"] if more > 0 else [])])


def _shares(one: Reported, searches: Sequence[Reported]) -> Table:
    mattered = one.report.mattered
    return Table(
        name=file_name("variance-shares", one, searches),
        caption="Shares in the variance of the expected score over the space, in percent, with "
        "their 95% interval; of pairs what they add to their parameters.",
        columns=[text_column("parameter"), *map(number_column, ("share", "low", "high"))],
        rows=[
            [
                text_cell(" with ".join(share.parameters)),
                *(number_cell(100 * value, 1) for value in (share.share, share.low, share.high)),
            ]
            for share in (*mattered.parameters, *mattered.pairs)
        ],
    )
