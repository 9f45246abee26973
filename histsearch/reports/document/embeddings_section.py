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
from histsearch.studies import trial_record
from histsearch.studies.embeddings_file import EmbeddingsFile
from histsearch.studies.trial_embeddings import trial_embeddings

_WHAT = "The map of embeddings, retrieval examples and errors by class"
_MOST_ROWS = 10


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
    trials = _trials(one)
    if not trials:
        yield Missing(_WHAT, "no run of a retraining is complete.")
        return
    reason = ""
    for name, trial in trials:
        try:
            found = trial_embeddings(trial)
        except (StudyError, CheckpointError) as error:
            reason = reason or f"{error}."
            continue
        yield Paragraph(_of_model(name, trial, found))
        yield from _figures(found, one, searches, data_dir)
        return
    yield Missing(_WHAT, reason)


def _trials(one: Reported) -> list[tuple[str, FrozenTrial]]:
    """The completed runs of retrainings, with their names: the winner's first, by their seeds."""
    winner = one.report.tested_winner
    own = set() if winner is None else {f"{winner.study}/{run.trial}" for run in winner.runs}
    runs = [
        (f"{retraining.name}/{trial.number}", trial)
        for retraining in one.retrainings
        for trial in retraining.trials(TrialState.COMPLETE)
    ]
    return sorted(runs, key=lambda run: run[0] not in own)


def _of_model(name: str, trial: FrozenTrial, found: EmbeddingsFile) -> str:
    gallery = "one another" if found.gallery is None else f"{len(found.ranked.path_N):,} images"
    return (
        f"All of it is of one model, {name}, seed {trial.params.get(trial_record.SEED)}, on the "
        f"{len(found.queries.path_N):,} images of {len(found.queries.class_names):,} test classes, "
        f"ranked against {gallery}; other seeds give other errors."
    )


def _figures(
    found: EmbeddingsFile, one: Reported, searches: Sequence[Reported], data_dir: Path
) -> Iterator[Part]:
    yield placed(embedding_map(found), one, searches)
    yield placed(retrieval_examples(found, thumbnails_of(found, data_dir)), one, searches)
    recalls, confused = class_recalls(found), confusions(found)
    yield placed(worst_classes(recalls), one, searches)
    yield ShownTable(_recalls(recalls, file_name("class-recall", one, searches)))
    yield placed(confused_classes(confused), one, searches)
    if confused:
        yield ShownTable(_confusions(confused, file_name("confusions", one, searches)))


def _recalls(recalls: Sequence[ClassRecall], name: str) -> Table:
    return Table(
        name=name,
        caption="R@1 of each test class in percent, with its 95% interval (Wilson's), those whose "
        "interval ends lowest first.",
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
        caption="Test classes that are taken for another: queries whose nearest image is of it.",
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
