"""The claims' report of studies whose runs are made up: verdicts, page, data, tables, figures."""

import csv
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from optuna.trial import TrialState
from scipy import stats
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.reports.claims.claims_report import build_claims_report
from histsearch.reports.claims.contents import write_claims_report
from histsearch.reports.claims.folder import read_claims_folder
from histsearch.reports.claims.grid_files import GRID_FILES
from histsearch.space.reading import load_space
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from tests.integration.claims import tell
from tests.integration.reports.made_up_claims import (
    MEANS,
    SMALL,
    SPREAD,
    a_run,
    add_runs,
    claim_study,
    fill,
    fill_all,
)
from tests.pages import Element, read_page

SECTIONS = ["verdicts", "claim1", "claim2", "claim3", "claim4", "claim5", "grids", "runs", "rules"]
CLAIM_1 = "claim1-batch_size"


@pytest.fixture(scope="module")
def whole(postgres: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the report of all studies, each point with its five runs."""
    folder, name = tmp_path_factory.mktemp("whole"), "whole_claims"
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        storage = Storage(postgres.set(database=name))
        fill_all(storage)
        write_claims_report(build_claims_report(storage, read_claims_folder(SMALL)), folder)
        yield folder
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def report(storage: Storage, folder: Path, of: str = SMALL) -> Element:
    write_claims_report(build_claims_report(storage, read_claims_folder(of)), folder)
    return page_of(folder)


def page_of(folder: Path) -> Element:
    text = (folder / "claims.html").read_text(encoding="utf-8")
    read = read_page(text)
    assert "<script" not in text
    assert [one.attributes["id"] for one in read.all("h2")] == SECTIONS
    levels = [int(one.name[1]) for one in read.all("h1", "h2", "h3")]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(one.attributes["alt"] for one in read.all("img"))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"claims.html", "claims.json", *data(folder)["files"]}
    return read


def data(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
    return read


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{table}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def section(page: Element, key: str) -> Element:
    (found,) = [one for one in page.all("section") if one.attributes["aria-labelledby"] == key]
    return found


def missing(page: Element) -> list[str]:
    return [one.text for one in page.all("p") if one.attributes.get("class") == "missing"]


def test_each_claim_has_its_verdict_and_what_decides(whole: Path) -> None:
    page = page_of(whole)
    claims = {one["number"]: one for one in data(whole)["claims"]}
    assert [claims[number]["verdict"] for number in range(1, 6)] == [
        *("not supported", "supported", "supported", "undecided", "undecided"),
    ]
    assert claims[1]["sentence"].startswith("Nb 8 minus Nb 32: -10.0 points, 95% interval -10.5")
    assert "after Holm's correction over 10 comparisons" in claims[1]["sentence"]
    assert claims[1]["consistent"] == "Nb: consistent from 32 on."
    assert claims[2]["consistent"] == "L: consistent over all values."
    assert claims[3]["sentence"].count("points, 95% interval") == 2
    assert claims[4]["sentence"].startswith("τ 24 and 32 minus τ 8: +2.0 points")
    assert claims[4]["consistent"].count("At τ") == 2
    assert len(claims[4]["tested"]) == 1 + 12
    assert "p of a difference" not in rows(whole, "figure2a-differences")[0]
    assert "p of a difference" in rows(whole, "figure2c-differences")[0]
    points = data(whole)["grids"][CLAIM_1]["points"]
    assert [one["published"] for one in points] == [None, None, 90.2, None, None]
    verdicts = section(page, "verdicts").text
    assert (
        "Claims 2 and 3 are supported; claim 1 is not supported; claims 4 and 5 are undecided."
        in verdicts
    )
    assert [(row["claim"], row["ours"], row["the paper's"]) for row in rows(whole, "claims")] == [
        ("1", "not supported", "in part: from 32 on"),
        ("2", "supported", "not supported: about 3 points lost from 3 layers on"),
        ("3", "supported", "supported"),
        ("4", "undecided", "supported"),
        ("5", "undecided", "supported, nearly"),
    ]


def test_rows_are_called_by_their_values(whole: Path) -> None:
    page = page_of(whole)
    points = rows(whole, "figure2a")
    assert [row["batch_size"] for row in points] == ["8", "16", "32", "64", "128"]
    assert [row["runs"] for row in points] == ["5"] * 5
    low, high = stats.ttest_1samp([70 + 100 * one for one in SPREAD], 0.0).confidence_interval(0.95)
    assert float(points[0]["R@1 low"]) == pytest.approx(low)
    assert float(points[0]["R@1 high"]) == pytest.approx(high)
    assert [row["published R@1"] for row in points] == ["", "", "90.2", "", ""]
    heads = [one.text for one in section(page, "claim1").all("table")[0].all("th")]
    assert heads[:3] == ["Nb", "R@1", "runs"]
    figures = [one.attributes["alt"] for one in section(page, "claim1").all("img")]
    assert figures[0].startswith("Mean R@1 on test classes by batch size Nb")
    assert "8: 70.0%" in figures[0]
    (heat_map,) = section(page, "claim4").all("img")
    assert "temperature τ with scaling parameter λs" in heat_map.attributes["alt"]
    assert [row["values"] for row in rows(whole, "runs")][:2] == ["Nb 8", "Nb 8"]
    assert len(rows(whole, "runs")) == 5 * (5 + 5 + 6 + 16 + 16 + 4)


def test_differences_stand_beside_the_papers(whole: Path) -> None:
    distances = {row["values"]: row for row in rows(whole, "table4-published-differences")}
    cosine = distances["distance cosine"]
    assert cosine["minus"] == "distance mahalanobis"
    assert float(cosine["difference mean"]) == pytest.approx(-1.0)
    assert float(cosine["published difference"]) == pytest.approx(-1.5)
    assert float(cosine["gap mean"]) == pytest.approx(0.5)
    # The variance of a mean of 5 is s²/5, that of it less a single run s²/5 + s².
    width = float(cosine["difference high"]) - float(cosine["difference low"])
    assert float(cosine["gap high"]) - float(cosine["gap low"]) == pytest.approx(width * 6**0.5)
    assert distances["distance manhattan"]["published difference"] == ""
    layers = {row["values"]: row for row in rows(whole, "figure2b-published-differences")}
    assert layers["L 1"]["published difference"] == ""
    assert [float(layers[f"L {at}"]["published difference"]) for at in (3, 4, 5)] == [-3.0] * 3
    assert float(layers["L 3"]["gap mean"]) == pytest.approx(3.1)


def test_a_gap_takes_the_papers_images(storage: Storage, tmp_path: Path) -> None:
    stem = "table4-distance"
    for folder in ("claims", SMALL):
        fill(claim_study(storage, stem, folder), stem, MEANS[stem])
    report(storage, tmp_path / "own", "claims")
    gaps = {row["distance"]: row["gap mean"] for row in rows(tmp_path / "own", "table4")}
    assert float(gaps["euclidean"]) == pytest.approx(77.0 - 87.2)
    assert gaps["manhattan"] == ""
    own = next(row for row in rows(tmp_path / "own", "table4") if row["distance"] == "euclidean")
    reach = float(stats.t(4).ppf(0.975)) * 100 * stats.tstd(SPREAD) * (1 + 1 / 5) ** 0.5
    assert float(own["gap high"]) == pytest.approx(77.0 - 87.2 + reach)
    page = report(storage, tmp_path / "small")
    assert {row["gap mean"] for row in rows(tmp_path / "small", "table4")} == {""}
    assert "other images" in section(page, "grids").text


def test_a_study_that_lacks_runs_is_shown_with_what_it_has(
    storage: Storage, tmp_path: Path
) -> None:
    study = claim_study(storage, CLAIM_1)
    fill(study, CLAIM_1, MEANS[CLAIM_1], range(2))
    reason = {trial_record.REASON: "the loss became NaN"}
    add_runs(study, [a_run(study, {"batch_size": 8}, 2, None, TrialState.FAIL, **reason)])
    page = report(storage, tmp_path)
    first = data(tmp_path)["claims"][0]
    assert first["verdict"] == "undecided"
    assert first["sentence"] == (
        "Nb 8 (2), Nb 16 (2), Nb 32 (2), Nb 64 (2) and Nb 128 (2) have fewer than 3 complete runs. "
        "The averages are without 1 failed run. So far 10 of 25 runs are complete, and the "
        "verdict may change."
    )
    grid = data(tmp_path)["grids"][CLAIM_1]
    assert (grid["runs_complete"], grid["runs_expected"], grid["runs_to_come"]) == (10, 25, 14)
    assert grid["failures"] == [f"{study.name} #10 (Nb 8, seed 2): the loss became NaN"]
    runs = section(page, "runs").text
    assert "10 of 25 runs are complete; they took 0.11 CPU hours." in runs
    assert "Nb 8: 2 of 5" in runs
    assert (
        "14 still to come, for which histsearch claims claims/small with --run goes on; 1 failed. "
        in runs
    )
    assert data(tmp_path)["claims"][0]["consistent"] == (
        "Nb: no two neighbours are shown to be consistent."
    )
    assert "the loss became NaN" in runs
    assert section(page, "claim1").all("img")
    assert all(math.isnan(float(row["R@1 low"] or "nan")) for row in rows(tmp_path, "figure2a"))


def test_a_verdict_before_the_last_run_is_provisional(storage: Storage, tmp_path: Path) -> None:
    study = claim_study(storage, CLAIM_1)
    fill(study, CLAIM_1, MEANS[CLAIM_1], range(4))
    page = report(storage, tmp_path / "early")
    first = data(tmp_path / "early")["claims"][0]
    assert (first["verdict"], first["is_provisional"]) == ("not supported", True)
    assert first["sentence"].endswith(
        "So far 20 of 25 runs are complete, and the verdict may change."
    )
    told = section(page, "verdicts").text
    assert "Claim 1 may change." in told
    assert "not supported *" in told
    fill(study, CLAIM_1, MEANS[CLAIM_1], [4])
    page = report(storage, tmp_path / "whole")
    assert not data(tmp_path / "whole")["claims"][0]["is_provisional"]
    assert "may change" not in page.text


def test_no_figure_of_the_paper_stands_for_other_values(storage: Storage, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    text = (Path("spaces") / "claims" / f"{CLAIM_1}.toml").read_text(encoding="utf-8")
    (folder / f"{CLAIM_1}.toml").write_text(text.replace("alpha = 0.9", "alpha = 1.1"))
    study = create_search(storage, load_space(str(folder / f"{CLAIM_1}.toml")))
    fill(study, CLAIM_1, MEANS[CLAIM_1])
    page = report(storage, tmp_path / "report", str(folder))
    assert {row["gap mean"] for row in rows(tmp_path / "report", "figure2a")} == {""}
    assert "other values" in section(page, "claim1").text


def test_a_failed_run_of_a_whole_grid_says_what_queues_it_again(
    storage: Storage, tmp_path: Path
) -> None:
    study = claim_study(storage, CLAIM_1)
    add_runs(study, [a_run(study, {"batch_size": 8}, 4, None, TrialState.FAIL)])
    fill(study, CLAIM_1, MEANS[CLAIM_1], range(4))
    values = ({"batch_size": size} for size in (16, 32, 64, 128))
    add_runs(study, [a_run(study, one, 4, 0.8) for one in values])
    page = report(storage, tmp_path)
    assert (
        f"1 failed, which histsearch study enqueue {study.name} with its values queues again."
        in section(page, "runs").text
    )
    first = data(tmp_path)["claims"][0]
    assert (first["verdict"], first["is_provisional"]) == ("not supported", False)
    assert first["sentence"].endswith(" The averages are without 1 failed run.")


def test_a_budget_below_the_grid_says_what_raises_it(storage: Storage, tmp_path: Path) -> None:
    space = load_space(f"{SMALL}/{CLAIM_1}")
    study = create_search(storage, space, trials=10)
    fill(study, CLAIM_1, MEANS[CLAIM_1], range(2))
    page = report(storage, tmp_path)
    assert (
        f"15 beyond what the study runs until histsearch study set {study.name} trials=25 lets a "
        "worker go on." in section(page, "runs").text
    )
    assert not data(tmp_path)["claims"][0]["is_provisional"]


def test_what_is_missing_says_what_to_do(storage: Storage, tmp_path: Path) -> None:
    page = report(storage, tmp_path)
    assert {one["verdict"] for one in data(tmp_path)["claims"]} == {"undecided"}
    told = " ".join(missing(page))
    assert "histsearch claims claims/small with --run creates and trains it" in told
    assert (
        "The comparison of reality-check/small/hist with reality-check/small/proxy-anchor" in told
    )
    assert "histsearch compare reality-check/small/hist" in section(page, "claim5").text
    assert set(data(tmp_path)["grids"]) == set(GRID_FILES)


def test_a_study_of_another_space_is_not_read(storage: Storage, tmp_path: Path) -> None:
    changed = tmp_path / "folder"
    changed.mkdir()
    space = Path("spaces") / SMALL / f"{CLAIM_1}.toml"
    text = space.read_text(encoding="utf-8")
    (changed / space.name).write_text(text.replace("alpha = 0.9", "alpha = 1.1"))
    fill(claim_study(storage, CLAIM_1), CLAIM_1, MEANS[CLAIM_1])
    page = report(storage, tmp_path / "report", str(changed))
    told = " ".join(missing(page))
    refusal = 'found the study "claims-small-claim1-batch_size", which isn\'t of the space'
    assert refusal in told
    sentence = data(tmp_path / "report")["claims"][0]["sentence"]
    assert sentence.startswith(f"Its study isn't read: {refusal}")
    assert "holds no claim2-hgnn_layers.toml" in told
    assert "No comparison of losses belongs to this folder." in section(page, "claim5").text


def test_a_later_report_replaces_the_earlier_one(storage: Storage, tmp_path: Path) -> None:
    study = claim_study(storage, CLAIM_1)
    fill(study, CLAIM_1, MEANS[CLAIM_1])
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.svg").write_text("mine")
    write_claims_report(build_claims_report(storage, read_claims_folder(SMALL)), tmp_path)
    assert (tmp_path / "figures" / "figure2a.svg").exists()
    storage.optuna.delete_study(study.id)
    write_claims_report(build_claims_report(storage, read_claims_folder(SMALL)), tmp_path)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["mine.svg"]


def test_claim_5_reads_the_retrained_winners(storage: Storage, tmp_path: Path) -> None:
    scores = {"hist": 0.80, "proxy-anchor": 0.70}
    for loss, mean in scores.items():
        space = load_space(f"reality-check/small/{loss}").model_copy(update={"trials": 1})
        search = create_search(storage, space)
        tell(search, mean, curve={6: mean}, best_epoch=6)
        retraining = create_retraining(search, seeds=5)
        for one in SPREAD:
            tell(retraining, mean + one, recall={"1": mean + one})
    page = report(storage, tmp_path)
    (made,) = rows(tmp_path, "losses")
    assert made["verdict"] == "better"
    assert float(made["difference mean"]) == pytest.approx(10.0)
    last = data(tmp_path)["claims"][-1]
    assert last["verdict"] == "undecided"
    assert "1 of its 2 comparisons can't be made yet." in last["sentence"]
    told = " ".join(missing(section(page, "claim5")))
    assert "The comparison of caltech101-lite0 with proxy-anchor/caltech101-lite0" in told


def test_claim_5_reads_no_study_of_another_loss(storage: Storage, tmp_path: Path) -> None:
    space = load_space("reality-check/small/hist")
    create_search(storage, space)
    create_search(storage, space, name="reality-check-small-proxy-anchor")
    told = " ".join(missing(section(report(storage, tmp_path), "claim5")))
    assert (
        'found the study "reality-check-small-proxy-anchor", which is of hist on folder:omniglot, '
        "needed: proxy-anchor on folder:omniglot" in told
    )


def test_no_command_helps_where_losses_were_not_tuned_alike(
    storage: Storage, tmp_path: Path
) -> None:
    create_search(storage, load_space("reality-check/small/hist"))
    create_search(storage, load_space("reality-check/small/proxy-anchor"), trials=2)
    page = section(report(storage, tmp_path), "claim5")
    assert "weren't tuned alike" in " ".join(missing(page))
    assert "histsearch compare reality-check/small/hist" not in page.text
