"""What the winner's model makes of images: Figures 4 and 5, retrieval examples, its errors."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from histsearch.exceptions import CheckpointError, StudyError
from histsearch.figures.confused_classes import Confusion, confused_classes, confusions
from histsearch.figures.embedding_map import embedding_map
from histsearch.figures.retrieval_examples import retrieval_examples
from histsearch.figures.worst_classes import ClassRecall, class_recalls, worst_classes
from histsearch.reports.document.drawing import placed
from histsearch.reports.document.names import file_name
from histsearch.reports.document.reported import Reported
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
from histsearch.reports.document.thumbnails import thumbnails_of
from histsearch.reports.report import Report, Retrained
from histsearch.studies import trial_record
from histsearch.studies.embeddings_file import EmbeddingsFile
from histsearch.studies.trial_embeddings import trial_embeddings

_WHAT = "The map of embeddings, retrieval examples and errors by class"
_MOST_ROWS = 10
_IN_PART_LUCK = (
    "The lowest of many classes are low by chance in part, and the figures are of one seed."
)


def embeddings_section(searches: Sequence[Reported], data_dir: Path) -> Section:
    """Maps of embeddings, retrieval examples, and the classes that are hard, for each search.

    Args:
        searches: The searches.
        data_dir: The folder of the data sets, for thumbnails.
    """
    parts: list[Part] = []
    for one in searches:
        if len(searches) > 1:
            parts.append(Heading(one.name))
        parts += _model(one, searches, data_dir)
    return Section("embeddings", "Embeddings and retrieval", parts)


def _model(one: Reported, searches: Sequence[Reported], data_dir: Path) -> Iterator[Part]:
    runs = _runs(one)
    if not runs:
        yield Missing(_WHAT, "no run of a retraining is complete.")
        return
    reasons: list[str] = []
    for ours, trial in runs:
        try:
            found = trial_embeddings(trial)
        except (StudyError, CheckpointError) as error:
            reasons.append(f"{ours.study}/{trial.number}, {ours.label}: {error}")
            continue
        yield Paragraph(_of_model(ours, trial, found))
        yield from _not_the_winners(one.report, ours, reasons)
        yield from _figures(found, one, searches, data_dir)
        return
    yield Missing(_WHAT, "no run's embeddings could be read:")
    yield Bullets(reasons)


def _runs(one: Reported) -> list[tuple[Retrained, FrozenTrial]]:
    """The runs that the report has figures of, the winner's first."""
    report = one.report
    trials = {
        (retraining.name, trial.number): trial
        for retraining in one.retrainings
        for trial in retraining.trials(TrialState.COMPLETE)
    }
    runs = [(ours, trials[ours.study, run.trial]) for ours in report.retrained for run in ours.runs]
    return sorted(runs, key=lambda run: not _is_winners(report, run[0]))


def _is_winners(report: Report, ours: Retrained) -> bool:
    return report.best is not None and ours.is_of(report.best)


def _not_the_winners(report: Report, ours: Retrained, reasons: Sequence[str]) -> Iterator[Part]:
    """That a model isn't the winner's, where it isn't, and why that one's isn't shown."""
    if _is_winners(report, ours):
        return
    what = f"It is the model of {ours.label}, not the winner's"
    if report.tested_winner is None:
        yield Paragraph(f"{what}: no run of the winner is complete.", is_warning=True)
        return
    yield Paragraph(f"{what}, as none of the winner's embeddings could be read:", is_warning=True)
    yield Bullets(reasons)


def _of_model(ours: Retrained, trial: FrozenTrial, found: EmbeddingsFile) -> str:
    gallery = "one another" if found.gallery is None else f"{len(found.ranked.path_N):,} images"
    return (
        f"All of it is of one model, {ours.study}/{trial.number}: {ours.label}, seed "
        f"{trial.params.get(trial_record.SEED)}, on the {len(found.queries.path_N):,} images of "
        f"{len(found.queries.class_names):,} test classes, ranked against {gallery}; other seeds "
        "give other errors."
    )


def _figures(
    found: EmbeddingsFile, one: Reported, searches: Sequence[Reported], data_dir: Path
) -> Iterator[Part]:
    yield placed(embedding_map(found), one, searches)
    yield placed(retrieval_examples(found, thumbnails_of(found, data_dir)), one, searches)
    recalls, confused = class_recalls(found), confusions(found)
    yield placed(worst_classes(recalls), one, searches, _IN_PART_LUCK)
    yield ShownTable(_recalls(recalls, file_name("class-recall", one, searches)))
    yield placed(confused_classes(confused), one, searches)
    if confused:
        yield ShownTable(_confusions(confused, file_name("confusions", one, searches)))


def _recalls(recalls: Sequence[ClassRecall], name: str) -> Table:
    return Table(
        name=name,
        caption="R@1 of each test class in percent, with its 95% interval (Wilson's); the lowest "
        f"upper end first. {_IN_PART_LUCK}",
        columns=[
            text_column("class"),
            *map(number_column, ("queries", "hits", "R@1", "low", "high")),
        ],
        rows=[
            [
                text_cell(one.name),
                *map(number_cell, (one.queries, one.hits)),
                *(number_cell(100 * part, 1) for part in (one.recall, one.low, one.high)),
            ]
            for one in recalls
        ],
        most_rows=_MOST_ROWS,
    )


def _confusions(found: Sequence[Confusion], name: str) -> Table:
    return Table(
        name=name,
        caption="Test classes taken for others: how many queries of a class have their nearest "
        "image in another class.",
        columns=[
            *map(text_column, ("class", "taken for")),
            *map(number_column, ("queries taken", "queries in all")),
        ],
        rows=[
            [
                *map(text_cell, (one.name, one.taken_for)),
                *map(number_cell, (one.count, one.queries)),
            ]
            for one in found
        ],
        most_rows=_MOST_ROWS,
    )
