"""What a report says of comparisons: of baselines, lengths, several retrainings and searches."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.reports.document.comparisons_section import comparisons_section
from histsearch.reports.document.gathered import gather
from histsearch.reports.document.sections import Bullets, Missing, Paragraph, Section, ShownTable
from histsearch.reports.document.verdict_section import verdict_section
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space
from tests.integration.studies.test_baselines import run_all

BETTER = {**ENQUEUED, "batch_size": 32}
SHORT = {"name": "short", **BETTER, "epochs": 1}
WIDER = {
    "alpha": [0.9, 1.0, 1.1, 2.0],
    "lr": {"low": 1e-5, "high": 1e-2, "log": True},
    "batch_size": [8, 16, 32],
}
OTHER = {"name": "other", "alpha": 1.5, "lr": 0.0003}


def search_of(storage: Storage, name: str = "small", **changes: Any) -> Study:
    """A search of two trials, of which the second is better."""
    space = small_space(
        **({"name": name, "enqueue": [ENQUEUED, BETTER], "trials": 2} | changes),
    )
    search = create_search(storage, space)
    for value in (0.5, 0.6):
        complete_next(search, value, best_epoch=7)
    return search


def text_of(section: Section) -> str:
    texts: list[str] = []
    for part in section.parts:
        if isinstance(part, Paragraph):
            texts.append(part.text)
        elif isinstance(part, Bullets):
            texts += part.lines
        elif isinstance(part, Missing):
            texts.append(part.why)
    return "\n".join(texts)


def shown_rows(section: Section) -> list[dict[str, object]]:
    """The rows of comparisons as their CSV has them, and the shown text of the first two cells."""
    tables = [part.table for part in section.parts if isinstance(part, ShownTable)]
    (table,) = [one for one in tables if one.name == "comparisons"]
    names = [name for column in table.columns for name in column.exact]
    return [
        dict(zip(names, [value for cell in row for value in cell.exact], strict=True))
        | {"shown": (row[0].text, row[1].text)}
        for row in table.rows
    ]


def test_the_winner_trained_longer_is_not_that_baseline(storage: Storage) -> None:
    search = search_of(storage, baseline=[SHORT])
    assert gather(storage, ["small"]).searches[0].report.baselines_of_winner == []
    run_all(create_retraining(search, baselines=["short"]), {"": 0.7, "short": 0.6})
    gathered = gather(storage, ["small"])
    report = gathered.searches[0].report
    assert report.baselines_of_winner == []
    (found,) = report.comparisons
    assert found.luck is None, "the search ran both as one configuration"
    text = text_of(comparisons_section(gathered))
    assert f"({report.retrained[0].epochs} against 1 epoch): +10.0 points" in text
    assert "no gain" not in text


def test_comparisons_of_all_retrainings_are_in_the_verdict(storage: Storage) -> None:
    search = search_of(storage, baseline=[OTHER])
    run_all(create_retraining(search, seeds=6), {"": 0.7})
    again = create_retraining(search, name="again", baselines=["other"])
    run_all(again, {"": 0.7, "other": 0.6})
    (paragraph,) = [
        part
        for part in verdict_section(gather(storage, ["small"])).parts
        if isinstance(part, Paragraph)
    ]
    assert "mean ± 95% interval over 6 seeds" in paragraph.text
    assert "is better than baseline other of again (+10.0 points, 95% interval" in paragraph.text
    assert "p < 0.001)" in paragraph.text


def test_only_comparisons_with_a_verdict_are_corrected(storage: Storage) -> None:
    search = search_of(storage, baseline=[OTHER])
    run_all(create_retraining(search, baselines=["other"]), {"": 0.7, "other": 0.6})
    second = create_retraining(search, name="second", top=2, seeds=5, baselines=["other"])
    run_all(second, {"": 0.7, "other": 0.6})
    few = create_retraining(search, name="few", seeds=3, baselines=["other"])
    run_all(few, {"": 0.7, "other": 0.6})
    gathered = gather(storage, ["small"])
    found = gathered.searches[0].report.comparisons
    judged = [one for one in found if one.p_difference is not None]
    assert (len(found), len(judged)) == (5, 4)
    assert {one.tests for one in judged} == {4}
    text = text_of(comparisons_section(gathered))
    assert "over the 4 comparisons of this report that have a verdict" in text
    assert "Intervals are not corrected" in text


def test_runs_to_come_are_counted(storage: Storage) -> None:
    search = search_of(storage, baseline=[OTHER])
    retraining = create_retraining(search, seeds=3, baselines=["other"])
    run_all(retraining, {"": 0.7, "other": 0.6})
    CliRunner().invoke(app, ["retrain", "small", "--add-seeds", "2", "--storage", url_of(storage)])
    (found,) = gather(storage, ["small"]).searches[0].report.comparisons
    assert (found.seeds_to_add, found.runs_to_come) == (0, 4)
    assert "a verdict needs 5, and 4 runs are still to come." in found.sentence


def url_of(storage: Storage) -> str:
    return storage.url.render_as_string(hide_password=False)


@pytest.mark.parametrize("validation", ["held-out", "test"])
def test_the_command_says_which_classes_a_score_is_of(
    storage: Storage, tmp_path: Path, validation: str
) -> None:
    search_of(storage, protocol={"validation": validation})
    command = ["report", "small", "--out", str(tmp_path / "out"), "--storage", url_of(storage)]
    done = CliRunner().invoke(app, command)
    word = "test" if validation == "test" else "validation"
    assert f"best of the search is trial 1, {word} R@1 60.0%" in done.output


def test_marks_are_of_the_searches_compared_and_each_is_named(storage: Storage) -> None:
    changed: dict[str, dict[str, Any]] = {
        "fair": {},
        "fairer": {"search": WIDER},
        "marked": {"protocol": {"validation": "test"}},
    }
    for name, changes in changed.items():
        search = search_of(storage, name, baseline=[OTHER], **changes)
        run_all(create_retraining(search, baselines=["other"]), {"": 0.7, "other": 0.6})
    gathered = gather(storage, ["fair", "fairer", "marked"])
    section = comparisons_section(gathered)
    rows = {row["shown"]: row for row in shown_rows(section)}
    assert list(rows) == [
        ("fair: tuned #1", "fair: baseline other"),
        ("fairer: tuned #1", "fairer: baseline other"),
        ("marked: tuned #1†", "marked: baseline other†"),
        ("fair: tuned #1", "fairer: tuned #1"),
    ]
    assert [row["selected on"] for row in rows.values()] == [
        *("validation classes", "validation classes", "test classes", "validation classes")
    ]
    text = text_of(section)
    assert "fairer: tuned #1 minus fairer: baseline other" in text
    assert "Both searches are of the loss hist, over other values of its hyperparameters." in text
    assert text.count(' tuned alike: protocol.validation "held-out" and "test".') == 2
    verdict = text_of(verdict_section(gathered))
    assert "† on the test classes (percent" in verdict
    assert "than baseline other† (" in verdict


def test_searches_with_another_delta_are_not_compared(storage: Storage) -> None:
    for name, delta in {"near": 0.5, "far": 2.0}.items():
        search = search_of(storage, name, sampler="freeze-thaw", decided={"delta": delta})
        run_all(create_retraining(search), {"": 0.7})
    gathered = gather(storage, ["near", "far"])
    assert not gathered.across
    assert gathered.apart == [
        "near and far weren't tuned alike: decided {delta = 0.5, epsilon = 0.05} and {delta = 2.0, "
        "epsilon = 0.05}."
    ]
