"""The report as users get it, of searches in every state."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import URL
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.data.census import Census, Part
from histsearch.database.storage import Storage
from histsearch.reports.document.contents import write_report
from histsearch.reports.document.gathered import gather
from histsearch.space.reading import load_space
from histsearch.studies.catalog import create_search
from histsearch.studies.embeddings_file import write_embeddings_file
from histsearch.studies.images import note_census
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from tests.databases import new_database
from tests.integration.claims import claimed, tell
from tests.pages import Element, read_page
from tests.unit.studies.test_embeddings_file import embeddings

PAPERS = "cars196-resnet50"
DEMO = "demo"
SECTIONS = [
    *(
        "verdict",
        "results",
        "comparisons",
        "cost",
        "parameters",
        "search",
        "embeddings",
        "background",
    ),
]
HOSTILE = '"><img src=x onerror=alert(1)>'
T_4 = 2.7764  # of Student's t at 97.5% for 4 degrees of freedom, from a printed table


def search_of(storage: Storage, space: str, name: str | None = None, trials: int = 3) -> Study:
    return create_search(storage, load_space(space), name=name, trials=trials)


def run_search(study: Study, scores: Sequence[float] = (0.80, 0.88, 0.84)) -> None:
    for score in scores:
        curve = {epoch: score - 0.02 * (5 - epoch) for epoch in range(1, 6)}
        tell(study, score, curve=curve, best_epoch=5, seconds=720, epoch_seconds=[100.0] * 5)


def run_retraining(study: Study, scores: Sequence[float]) -> None:
    for score in scores:
        figures = {"NMI": score - 0.2, "R-Precision": score - 0.4, "MAP@R": score - 0.5}
        tell(
            study,
            score,
            recall={"1": score, "2": score + 0.03},
            figures=figures,
            seconds=900,
            epoch_seconds=[160.0] * 5,
            device="H200",
            versions={"timm": "1.0.9"},
        )


def note_images(study: Study) -> None:
    training = Part("training", classes=60, images=3_000, lone=0)
    validation = Part("validation", classes=20, images=1_000, lone=0)
    test = Part("test", classes=80, images=4_000, lone=0)
    note_census(study, Census(training, validation, test))


@pytest.fixture
def finished(storage: Storage) -> Study:
    return finished_search(storage)


@pytest.fixture(scope="module")
def written(
    postgres: URL, tables: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Element, Path]]:
    """The page and the folder of a finished search's report."""
    folder = tmp_path_factory.mktemp("report")
    with new_database(postgres, tables) as url:
        study = finished_search(Storage(url))
        yield report(study.storage, folder, DEMO), folder


def finished_search(storage: Storage) -> Study:
    """A search with five seeds of its winner."""
    study = search_of(storage, DEMO)
    run_search(study)
    note_images(study)
    run_retraining(create_retraining(study, seeds=5), [0.70, 0.71, 0.72, 0.73, 0.74])
    return study


def report(storage: Storage, folder: Path, *names: str) -> Element:
    page, _ = write_report(gather(storage, names), folder, folder / "no data")
    read = read_page(page.read_text(encoding="utf-8"))
    assert page.stat().st_size < 5_000_000
    assert [one.attributes["id"] for one in read.all("h2")] == SECTIONS
    levels = [int(one.name[1]) for one in read.all("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(one.attributes["alt"] for one in read.all("img"))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    written = json.loads((folder / "report.json").read_text())["files"]
    assert files == {"report.html", "report.json", *written}
    return read


def section(page: Element, key: str) -> Element:
    (found,) = [one for one in page.all("section") if one.attributes["aria-labelledby"] == key]
    return found


def missing(page: Element) -> list[str]:
    return [one.text for one in page.all("p") if one.attributes.get("class") == "missing"]


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{table}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_finished_search_has_all_sections(written: tuple[Element, Path]) -> None:
    page, folder = written
    verdict = section(page, "verdict").text
    assert "After 3 complete trials the search demo recommends" in verdict
    assert "72.0 ± 2.0" in verdict
    assert len(re.findall(r"[.!?] (?=[A-Z])", verdict.removeprefix("Verdict "))) == 1, verdict
    figures = {one.attributes["alt"] for one in page.all("img")}
    assert len(figures) >= 4
    assert (folder / "tables" / "results.tex").exists()
    assert (folder / "tables" / "hours.tex").exists()
    assert (folder / "tables" / "parameters.tex").exists()
    (shown,) = json.loads((folder / "report.json").read_text())["studies"]
    assert shown["study"] == DEMO
    assert shown["retrained"][0]["score"]["n"] == 5


def test_figures_are_recomputed_from_the_runs(written: tuple[Element, Path]) -> None:
    page, folder = written
    (result,) = rows(folder, "results")
    runs = rows(folder, "runs")
    shown = section(page, "results").text
    for label in ("R@1", "R@2", "NMI", "R-Precision", "MAP@R"):
        values = [float(run[label]) for run in runs]
        mean = sum(values) / len(values)
        deviation = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        half = T_4 * deviation / len(values) ** 0.5
        assert float(result[f"{label} mean"]) == pytest.approx(mean)
        assert float(result[f"{label} low"]) == pytest.approx(mean - half, rel=1e-5)
        assert float(result[f"{label} high"]) == pytest.approx(mean + half, rel=1e-5)
        assert result[f"{label} n"] == "5"
        assert f"{mean:.1f} ± {half:.1f}" in shown


def test_hours_are_those_of_the_trials(written: tuple[Element, Path]) -> None:
    page, folder = written
    assert "Hours are wall-clock hours of a worker on a CPU." in section(page, "cost").text
    search, tuned = rows(folder, "hours")
    assert (search["configuration"], search["runs"], search["epochs"]) == ("the search", "3", "15")
    assert float(search["hours spent"]) == pytest.approx(3 * 0.2)
    assert (tuned["runs"], tuned["complete"]) == ("5", "5")
    assert float(tuned["hours a run"]) == pytest.approx(0.25)
    each = rows(folder, "hours-by-configuration")
    assert sum(float(one["hours spent"]) for one in each) == pytest.approx(3 * 0.2)


def test_every_value_stands_with_its_origin(written: tuple[Element, Path]) -> None:
    page, folder = written
    values = {row.pop("parameter"): row for row in rows(folder, "parameters")}
    assert values["embedding_size"]["origin"] == "fixed"
    assert values["tau"]["origin"] == "searched"
    assert values["weight_decay"]["origin"] == "default"
    assert values["image_size"]["origin"] == "backbone"
    assert values["weight_decay"]["tuned #1"] == "0.0001"
    legend = section(page, "parameters").all("p")[0].text
    origins = {origin for row in values.values() for origin in row["origin"].split(" or ")}
    assert all(origin in legend for origin in origins)


def test_counts_and_provenance_stand_with_the_figures(written: tuple[Element, Path]) -> None:
    page, _ = written
    assert "1,000 validation images in 20 classes" in section(page, "verdict").text
    assert "4,000 test images in 80 classes" in section(page, "results").text
    background = section(page, "background").text
    assert "ranked against 3,999 images of 80 classes" in background
    assert "is by itself no sign of overfitting" in background
    assert "the highest of all epochs of many trials" in background
    assert "timm 1.0.9" in background
    assert "H200" in background
    assert "demo-retrain/0: tuned #1, seed 1000000" in background
    assert "histsearch retrain demo --name demo-retrain --top 1 --seeds 5" in background


def test_the_space_is_shown_whole(written: tuple[Element, Path]) -> None:
    from histsearch.space.toml_text import parse_toml

    page, _ = written
    listing = page.all("pre")[0]
    table = parse_toml("".join(listing.texts))
    assert table["search"]["tau"] == [4, 8, 16, 32]
    assert table["protocol"]["validation_fraction"] == 0.25


def test_an_empty_search_says_why_nothing_is_shown(storage: Storage, tmp_path: Path) -> None:
    search_of(storage, DEMO)
    page = report(storage, tmp_path, DEMO)
    assert "none of its 3 trials is complete" in section(page, "verdict").text
    for key in ("results", "cost", "parameters", "search", "embeddings", "background"):
        assert missing(section(page, key)), key
    assert page.all("pre"), "how to repeat it is known from the beginning"


def test_a_running_search_shows_what_is_known(storage: Storage, tmp_path: Path) -> None:
    study = search_of(storage, DEMO, trials=9)
    run_search(study)
    claimed(study).record({}, {1: 0.5, 2: 0.6})
    page = report(storage, tmp_path, DEMO)
    assert "The search demo, open with 3 complete trials of 9 so far," in page.text
    assert "1 running trial" in section(page, "search").text
    assert section(page, "search").all("img")
    assert "not retrained yet: histsearch retrain demo" in " ".join(missing(page))


def test_a_failed_search_names_its_reasons(storage: Storage, tmp_path: Path) -> None:
    study = search_of(storage, DEMO)
    for _ in range(3):
        tell(study, None, TrialState.FAIL, reason=HOSTILE)
    page = report(storage, tmp_path, DEMO)
    assert "all of its 3 trials failed" in section(page, "verdict").text
    assert f"demo #2: {HOSTILE}" in section(page, "search").text
    assert not page.all("img")


def test_an_endless_reason_is_cut_in_the_verdict_alone(storage: Storage, tmp_path: Path) -> None:
    study = search_of(storage, DEMO, trials=1)
    reason = "RuntimeError: " + "x" * 400
    tell(study, None, TrialState.FAIL, reason=reason)
    page = report(storage, tmp_path, DEMO)
    verdict = section(page, "verdict").text
    assert reason[:200] + "…" in verdict
    assert reason not in verdict
    assert reason in section(page, "search").text


def test_the_commands_name_the_kind_of_device_that_was_used(
    storage: Storage, tmp_path: Path
) -> None:
    study = search_of(storage, DEMO, trials=1)
    assert "worker --study demo --drain --gpu all" in report(storage, tmp_path, DEMO).text
    tell(study, 0.8, best_epoch=1, accelerated=False)
    retraining = create_retraining(study, seeds=2)
    queued = report(storage, tmp_path, DEMO).text
    tell(retraining, 0.7, recall={"1": 0.7}, accelerated=True)
    retrained = report(storage, tmp_path, DEMO).text
    for text in (queued, retrained):
        assert "worker --study demo --drain --device cpu" in text
    assert "worker --study demo-retrain --drain --device cpu" in queued
    assert "worker --study demo-retrain --drain --gpu all" in retrained


def test_a_baselines_model_is_not_taken_for_the_winners(storage: Storage, tmp_path: Path) -> None:
    study = search_of(storage, DEMO)
    run_search(study)
    retraining = create_retraining(study, seeds=1, baselines=["first"])
    run_retraining(retraining, [0.7])
    place = tmp_path / "baseline.npz"
    with place.open("wb") as file:
        write_embeddings_file(file, embeddings())
    figures = {"NMI": 0.5}
    tell(retraining, 0.6, recall={"1": 0.6, "2": 0.7}, figures=figures, embeddings=str(place))
    text = section(report(storage, tmp_path / "report", DEMO), "embeddings").text
    assert "of one model, demo-retrain/1: baseline first #0, seed" in text
    assert "It is the model of baseline first #0, not the winner's" in text
    assert "demo-retrain/0, tuned #1: found no embeddings of trial 0" in text
    assert "low by chance in part, and the figures are of one seed" in text


def test_a_run_that_ends_while_a_report_is_written_is_not_shown(
    finished: Study, tmp_path: Path
) -> None:
    gathered = gather(finished.storage, [DEMO])
    (one,) = gathered.searches
    earlier = replace(gathered, searches=[replace(one, report=replace(one.report, retrained=[]))])
    page, _ = write_report(earlier, tmp_path, tmp_path / "no data")
    shown = section(read_page(page.read_text(encoding="utf-8")), "embeddings")
    assert missing(shown)[0].endswith("no run of a retraining is complete.")


def test_a_grid_has_a_report(storage: Storage, stripes: dict[str, Any], tmp_path: Path) -> None:
    from histsearch.space.reading import parse_space

    space = {**stripes, "sampler": "grid", "pruner": "none"}
    study = create_search(storage, parse_space(space, source="test"), name="grid", trials=3)
    run_search(study)
    page = report(storage, tmp_path, "grid")
    assert "recommends" in section(page, "verdict").text
    assert section(page, "search").all("img")


def test_one_seed_has_no_interval(storage: Storage, tmp_path: Path) -> None:
    study = search_of(storage, DEMO)
    run_search(study)
    run_retraining(create_retraining(study, seeds=1), [0.70])
    page = report(storage, tmp_path, DEMO)
    assert "±" not in "".join(one.text for one in page.all("td"))
    (result,) = rows(tmp_path, "results")
    assert (result["R@1 mean"], result["R@1 low"], result["R@1 n"]) == ("70.0", "", "1")


def test_a_retraining_stands_for_its_search(finished: Study, tmp_path: Path) -> None:
    pages = [
        report(finished.storage, tmp_path / name, name).text for name in (DEMO, "demo-retrain")
    ]
    assert pages[0] == pages[1]


def test_several_searches_share_their_tables(finished: Study, tmp_path: Path) -> None:
    study = search_of(finished.storage, PAPERS, trials=1)
    tell(study, 0.9, best_epoch=3, curve={1: 0.8, 2: 0.85, 3: 0.9})
    page = report(finished.storage, tmp_path, DEMO, PAPERS, "demo-retrain")
    assert [one.text for one in section(page, "verdict").all("h3")] == [DEMO, PAPERS]
    results = rows(tmp_path, "results")
    assert [row["configuration"] for row in results] == [
        "tuned #1",
        *("[OA] original authors", "[RE] reproduced", "[TUNE] the paper's search"),
    ]
    assert results[2]["R@1 mean"] == "89.8"
    assert {f"parameters-{name}.csv" for name in (DEMO, PAPERS)} <= {
        path.name for path in (tmp_path / "tables").iterdir()
    }


def test_the_dearest_configurations_of_all_searches_come_first(
    storage: Storage, tmp_path: Path
) -> None:
    hours = {"short": (0.1, 0.4), "long": (0.3, 0.2)}
    for name, each in hours.items():
        study = search_of(storage, DEMO, name, trials=2)
        for spent in each:
            tell(study, 0.8, best_epoch=1, seconds=3600 * spent)
    report(storage, tmp_path, *hours)
    found = rows(tmp_path, "hours-by-configuration")
    assert [row["study"] for row in found] == ["short", "long", "long", "short"]


def test_a_retraining_without_a_complete_run_has_no_figures(
    storage: Storage, tmp_path: Path
) -> None:
    study = search_of(storage, DEMO, trials=1)
    tell(study, 0.8, best_epoch=1)
    retraining = create_retraining(study, seeds=2)
    queued = " ".join(missing(section(report(storage, tmp_path, DEMO), "results")))
    assert "Runs of demo-retrain: none is complete yet, so it has no figures." in queued
    run_retraining(retraining, [0.7])
    begun = " ".join(missing(section(report(storage, tmp_path, DEMO), "results")))
    assert "some are still to come; its figures are of those so far." in begun


def test_each_line_of_a_selection_on_test_classes_is_marked(
    storage: Storage, tmp_path: Path
) -> None:
    space = load_space(DEMO)
    protocol = space.protocol.model_copy(update={"validation": "test"})
    study = create_search(storage, space.model_copy(update={"protocol": protocol}), trials=3)
    run_search(study)
    run_retraining(create_retraining(study, seeds=1), [0.70])
    page = report(storage, tmp_path, DEMO)
    legend = "† Selected on the test classes, as the paper did: not a fair estimate"
    assert "†" in section(page, "verdict").text
    for key in ("verdict", "results", "search"):
        assert legend in section(page, key).text, key
    for table in section(page, "results").all("table"):
        for row in table.all("tr")[1:]:
            assert "†" in row.text
    for figure in section(page, "search").all("figure"):
        if "R@1" in figure.text:
            assert legend in figure.text


def test_the_command_writes_a_report_and_prints_the_result(finished: Study, tmp_path: Path) -> None:
    url = finished.storage.url.render_as_string(hide_password=False)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["report", DEMO, "--out", str(out), "--storage", url])
    assert done.exit_code == 0, done.output
    assert "72.0 ± 2.0" in done.output
    assert f"wrote {out}/report.html and {out}/report.json" in done.output
    taken = tmp_path / "file"
    taken.write_text("")
    refused = CliRunner().invoke(app, ["report", DEMO, "--out", f"{taken}/x", "--storage", url])
    assert refused.exit_code != 0
    assert "give another --out" in str(refused.exception)


def test_a_report_needs_no_torch(finished: Study, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from histsearch.cli.main import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    url = finished.storage.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", code, "report", DEMO, "--out", tmp_path, "--storage", url],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"
