"""A report of several losses: those tuned alike are ranked, others are not compared."""

import csv
import json
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner, Result

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.reports.document.gathered import gather
from histsearch.reports.document.ranking_parts import ranking_parts
from histsearch.reports.document.sections import Image, ShownTable
from histsearch.reports.document.verdict_section import verdict_section
from histsearch.studies.catalog import create_search
from histsearch.studies.limit_changes import change_limits
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import IMAGES, Study
from tests.integration.claims import tell
from tests.integration.reports.test_judgements import text_of
from tests.integration.studies.small_search import small_space
from tests.pages import read_page

LR = {"low": 1e-5, "high": 1e-2, "log": True}
SPACES: Mapping[str, dict[str, Any]] = {
    "by-hist": {"loss": {"name": "hist"}, "search": {"lr": LR, "tau": [8, 16]}},
    "by-anchor": {"loss": {"name": "proxy-anchor"}, "search": {"lr": LR, "alpha": [8, 32]}},
    "by-pairs": {
        "loss": {"name": "pml:ContrastiveLoss"},
        "search": {"lr": LR, "neg_margin": [0.5, 1.0]},
    },
}
COMMON: Mapping[str, Any] = {
    "epochs": 3,
    "trials": 2,
    "enqueue": [],
    "fixed": {"images_per_class": 2, "batch_size": 16},
}
SPREAD = (-0.01, 0.0, 0.01, -0.01, 0.0)  # of the seeds about their mean


def hours(each: float) -> dict[str, Any]:
    return {"seconds": 3600 * each, "epoch_seconds": [1200 * each] * 3}


def search_of(
    storage: Storage,
    name: str,
    loss: str | None = None,
    *,
    failed: int = 0,
    on: str | None = None,
    **changes: Any,
) -> Study:
    """A search whose trials have run on a device, so many of them without success."""
    table = {**COMMON, **SPACES[loss or name], "name": name, **changes}
    search = create_search(storage, small_space(**table))
    for _ in range(failed):
        tell(search, None, TrialState.FAIL, **hours(0.5))
    for _ in range(search.budget - failed):
        curve = {1: 0.5, 2: 0.55, 3: 0.6}
        tell(search, 0.6, curve=curve, best_epoch=3, device=on, **hours(0.5))
    return search


def retrain(search: Study, mean: float, seeds: int = len(SPREAD)) -> None:
    """Retrain a search's winner, with scores about a mean."""
    retraining = create_retraining(search, seeds=seeds)
    for distance in SPREAD[:seeds]:
        score = mean + distance
        tell(retraining, score, recall={"1": score}, **hours(0.25))


@pytest.fixture
def alike(storage: Storage) -> Storage:
    """Three searches tuned alike: HIST far ahead of the others, which are close."""
    for name, mean in {"by-hist": 0.9, "by-anchor": 0.7, "by-pairs": 0.71}.items():
        retrain(search_of(storage, name), mean)
    return storage


NAMES = ("by-anchor", "by-hist", "by-pairs")


def report(storage: Storage, folder: Path, *names: str) -> Result:
    """Write a report by the command."""
    url = storage.url.render_as_string(hide_password=False)
    command = ["report", *names, "--out", str(folder), "--storage", url]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return done


def rows(folder: Path, table: str = "losses") -> list[dict[str, str]]:
    with (folder / "tables" / f"{table}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def data(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return read


def test_searches_tuned_alike_are_ranked(alike: Storage, tmp_path: Path) -> None:
    done = report(alike, tmp_path, *NAMES)
    assert "\n".join(SENTENCES) in done.output
    hist, pairs, anchor = rows(tmp_path)
    assert (hist["study"], hist["loss"]) == ("by-hist", "hist")
    assert (pairs["study"], pairs["loss"]) == ("by-pairs", "pml:ContrastiveLoss")
    assert (anchor["study"], anchor["loss"]) == ("by-anchor", "proxy-anchor")
    assert hist["better than"] == "by-pairs, by-anchor"
    assert (hist["equivalent to"], hist["undecided with"]) == ("", "")
    assert (pairs["better than"], pairs["undecided with"]) == ("", "by-anchor")
    assert (anchor["better than"], anchor["undecided with"]) == ("", "by-pairs")
    assert float(hist["R@1 mean"]) == pytest.approx(89.8)
    assert float(hist["R@1 low"]) < 89.8 < float(hist["R@1 high"])
    assert hist["R@1 n"] == "5"
    for row in (hist, pairs, anchor):
        assert (row["trials"], row["epochs"]) == ("2", "6")
        assert float(row["hours of the search"]) == pytest.approx(1.0)
        assert float(row["hours of a run"]) == pytest.approx(0.25)

    (ranking,) = data(tmp_path)["rankings"]
    assert [one["study"] for one in ranking["searches"]] == ["by-hist", "by-pairs", "by-anchor"]
    assert ranking["searches"][0]["better_than"] == ["by-pairs", "by-anchor"]
    assert len(ranking["searches"][0]["scores"]) == 5
    gains = [one["differences"] for one in ranking["searches"]]
    assert gains[0]["by-anchor"]["mean"] == pytest.approx(0.2)
    assert gains[2]["by-hist"]["mean"] == pytest.approx(-0.2)
    assert len(data(tmp_path)["comparisons_between_studies"]) == 3
    assert data(tmp_path)["not_compared"] == []
    assert {"figures/losses.svg", "tables/losses.tex"} <= set(data(tmp_path)["files"])
    page = read_page((tmp_path / "report.html").read_text(encoding="utf-8"))
    alts = [one.attributes["alt"] or "" for one in page.all("img")]
    assert any("one row a loss: hist 89.8 (" in alt for alt in alts)

    assert page.text.count(" ".join(SENTENCES)) == 1


SENTENCES = [
    "3 searches on glyphs with conv4 were tuned alike.",
    "hist, with R@1 89.8% (95% interval 88.8 to 90.8%, n = 5) on test classes, "
    "is better than pml:ContrastiveLoss (+19.0 points, 95% interval +17.8 to +20.2) and "
    "proxy-anchor (+20.0 points, 95% interval +18.8 to +21.2).",
    "pml:ContrastiveLoss, with R@1 70.8% (95% interval 69.8 to 71.8%, n = 5) on "
    "test classes, is undecided with proxy-anchor (+1.0 points, 95% interval -0.2 to +2.2).",
]


def test_the_verdict_says_who_is_better_than_whom(alike: Storage) -> None:
    (ranking,) = gather(alike, NAMES).rankings
    assert ranking.sentences == SENTENCES


def test_searches_that_were_not_tuned_alike_are_not_compared(
    storage: Storage, tmp_path: Path
) -> None:
    retrain(search_of(storage, "by-hist"), 0.9)
    other = search_of(
        storage, "by-anchor", epochs=4, fixed={"images_per_class": 2, "batch_size": 8}, trials=3
    )
    retrain(other, 0.7)
    done = report(storage, tmp_path, "by-hist", "by-anchor")
    page = read_page((tmp_path / "report.html").read_text(encoding="utf-8"))
    reason = (
        "by-hist and by-anchor weren't tuned alike: epochs 3 and 4, trials 2 and 3, batch_size 16 "
        "and 8."
    )
    assert data(tmp_path)["not_compared"] == [reason]
    assert reason in page.text
    assert f"{reason}\n" in done.stdout
    assert data(tmp_path)["comparisons_between_studies"] == []
    assert data(tmp_path)["rankings"] == []
    assert not (tmp_path / "tables" / "losses.csv").exists()
    assert "were tuned alike" not in page.text


def test_a_search_that_goes_on_is_not_compared_yet(storage: Storage) -> None:
    retrain(search_of(storage, "by-hist"), 0.9)
    running = search_of(storage, "by-anchor")
    retrain(running, 0.7)
    for name in ("by-hist", "by-anchor"):
        change_limits(gather(storage, [name]).searches[0].study, {"trials": 3})
    tell(gather(storage, ["by-hist"]).searches[0].study, 0.5, best_epoch=1)
    gathered = gather(storage, ["by-hist", "by-anchor"])
    assert gathered.across == []
    assert gathered.apart == [
        "by-hist and by-anchor can't be compared yet: by-anchor hasn't ended."
    ]
    (ranking,) = gathered.rankings
    assert [(one.study, one.score is None) for one in ranking.searches] == [
        ("by-hist", False),
        ("by-anchor", True),
    ]
    assert ranking.sentences[1:] == ["Not compared yet: proxy-anchor hasn't ended."]


def test_a_search_without_a_retrained_winner_is_named(storage: Storage) -> None:
    retrain(search_of(storage, "by-hist"), 0.9)
    search_of(storage, "by-anchor")
    gathered = gather(storage, ["by-anchor", "by-hist"])
    (ranking,) = gathered.rankings
    hist, anchor = ranking.searches
    assert (hist.study, anchor.score, anchor.run_hours) == ("by-hist", None, None)
    reason = "Not compared yet: proxy-anchor has no retrained winner."
    assert reason in text_of(verdict_section(gathered))
    assert gathered.apart == [
        "by-anchor and by-hist can't be compared yet: by-anchor has no retrained winner."
    ]
    table, figure = ranking_parts(gathered.rankings)
    assert isinstance(table, ShownTable)
    assert [cell.text for cell in table.table.rows[1]] == [
        *("proxy-anchor", "", "", "", "", "2", "6", "1.00", "")
    ]
    assert isinstance(figure, Image)
    assert "proxy-anchor" not in figure.alt


def test_searches_of_other_images_are_not_ranked_together(alike: Storage) -> None:
    for name, images in {"by-hist": "here", "by-anchor": "there"}.items():
        study = gather(alike, [name]).searches[0].study
        study.optuna_study.set_user_attr(IMAGES, images)
    gathered = gather(alike, ["by-hist", "by-anchor"])
    assert gathered.apart == ["by-hist and by-anchor are of other images."]
    assert gathered.rankings == []


@pytest.mark.parametrize("names", list(permutations(NAMES)))
def test_searches_of_different_images_are_never_ranked_beside_one_of_unknown_images(
    alike: Storage, names: tuple[str, ...]
) -> None:
    for name, images in {"by-hist": "here", "by-anchor": "there"}.items():
        study = gather(alike, [name]).searches[0].study
        study.optuna_study.set_user_attr(IMAGES, images)
    gathered = gather(alike, names)
    together = [{one.study for one in ranking.searches} for ranking in gathered.rankings]
    assert together in ([{"by-hist", "by-pairs"}], [{"by-anchor", "by-pairs"}])
    assert len(gathered.apart) == 1


def test_equivalent_losses_are_so_within_a_margin(storage: Storage) -> None:
    decided = {"delta": 3.0}
    for name, mean in {"by-hist": 0.71, "by-anchor": 0.7}.items():
        search = search_of(storage, name, sampler="freeze-thaw", decided=decided)
        retrain(search, mean)
    (ranking,) = gather(storage, ["by-hist", "by-anchor"]).rankings
    assert ranking.sentences[1].endswith(
        "is equivalent within 3 points to proxy-anchor (+1.0 points, 95% interval -0.2 to +2.2)."
    )
    table, _ = ranking_parts([ranking])
    assert isinstance(table, ShownTable)
    assert "Equivalent to: within 3 points." in table.table.notes


def test_runs_to_come_and_failed_ones_are_told(storage: Storage) -> None:
    hist = search_of(storage, "by-hist", trials=3, failed=1)
    retraining = create_retraining(hist, seeds=8)
    for distance in SPREAD:
        score = 0.9 + distance
        tell(retraining, score, recall={"1": score}, **hours(0.25))
    tell(retraining, None, TrialState.FAIL)
    retrain(search_of(storage, "by-anchor", trials=3), 0.7)
    (ranking,) = gather(storage, ["by-hist", "by-anchor"]).rankings
    assert ranking.sentences[-2:] == [
        "Still to come: 2 of 8 runs of the winner of hist.",
        "Failed: 1 trial of hist, 1 of 8 runs of the winner of hist.",
    ]


def test_hours_on_different_devices_are_told(storage: Storage) -> None:
    for name, device in {"by-fast": "an H200", "by-slow": "a processor"}.items():
        search_of(storage, name, "by-hist", on=device)
    table, _ = ranking_parts(gather(storage, ["by-fast", "by-slow"]).rankings)
    assert isinstance(table, ShownTable)
    assert "Hours don't compare, as devices differ: a processor, an H200." in table.table.notes


def test_two_searches_of_one_loss_are_compared_and_called_by_their_names(
    storage: Storage,
) -> None:
    retrain(search_of(storage, "by-hist"), 0.9)
    wider = search_of(storage, "wider", "by-hist", search={"lr": LR, "tau": [4, 8, 16, 32]})
    retrain(wider, 0.7)
    gathered = gather(storage, ["by-hist", "wider"])
    (ranking,) = gathered.rankings
    assert ranking.sentences[1:] == [
        "by-hist, with R@1 89.8% (95% interval 88.8 to 90.8%, n = 5) on test classes, is better "
        "than wider (+20.0 points, 95% interval +18.8 to +21.2)."
    ]
    (comparison,) = gathered.across
    fact = "Both searches are of the loss hist, over other values of its hyperparameters."
    assert fact in comparison.sentence
    same = search_of(storage, "same", "by-hist", search={"lr": LR, "tau": [16, 8]})
    retrain(same, 0.7)
    (comparison,) = gather(storage, ["by-hist", "same"]).across
    assert fact.replace("other", "the same") in comparison.sentence


def test_each_tuning_has_a_ranking_of_its_own(storage: Storage) -> None:
    for name in ("by-hist", "by-anchor"):
        search_of(storage, name)
    for name, loss in {"long-hist": "by-hist", "long-anchor": "by-anchor"}.items():
        retrain(search_of(storage, name, loss, epochs=4), 0.8, seeds=2)
    names = ["by-hist", "long-hist", "by-anchor", "long-anchor"]
    gathered = gather(storage, names)
    short, long = gathered.rankings
    assert [one.study for one in short.searches] == ["by-hist", "by-anchor"]
    assert [one.study for one in long.searches] == ["long-hist", "long-anchor"]
    assert long.searches[0].undecided_with == ["long-anchor"], "two seeds are too few"
    tables = [one.table for one in ranking_parts(gathered.rankings) if isinstance(one, ShownTable)]
    assert [table.name for table in tables] == ["losses-1", "losses-2"]


def test_a_selection_on_test_classes_is_marked(storage: Storage) -> None:
    for name, mean in {"by-hist": 0.9, "by-anchor": 0.7}.items():
        retrain(search_of(storage, name, protocol={"validation": "test"}), mean)
    gathered = gather(storage, ["by-hist", "by-anchor"])
    verdict = text_of(verdict_section(gathered))
    assert "is better than proxy-anchor (+20.0" in verdict
    assert "+21.2). Selected on the test classes: no fair" in verdict
    (table,) = [
        one.table for one in ranking_parts(gathered.rankings) if isinstance(one, ShownTable)
    ]
    assert [row[0].text for row in table.rows] == ["hist†", "proxy-anchor†"]
    assert {row[0].exact[2] for row in table.rows} == {"test classes"}
    assert any(note.startswith("† Selected on the test classes") for note in table.notes)
