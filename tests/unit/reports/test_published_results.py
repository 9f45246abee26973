import json
from pathlib import Path

import pytest

from histsearch.reports.published_results import (
    all_published_rows,
    configurations_source,
    hours_source,
    published_configurations,
    published_hours,
    published_rows,
    published_source,
)

ROWS = {"original authors": "OA", "reproduced": "RE", "tuned": "TUNE"}


@pytest.mark.parametrize("backbone", ["resnet50", "bn_inception"])
@pytest.mark.parametrize("dataset", ["cub200", "cars196", "sop"])
def test_rows_are_those_of_table_3(golden: Path, dataset: str, backbone: str) -> None:
    table = json.loads((golden / "paper_tables.json").read_text())["table3_results"]
    columns = table["columns"][dataset]
    assert published_rows(dataset, backbone) == {
        row: dict(zip(columns, table[backbone][printed][dataset], strict=True))
        for row, printed in ROWS.items()
    }


def test_all_rows_are_of_all_six_pairs() -> None:
    rows = all_published_rows()
    assert {pair: published_rows(*pair) for pair in rows} == rows
    assert len(rows) == 6


@pytest.mark.parametrize("backbone", ["resnet50", "bn_inception"])
@pytest.mark.parametrize("dataset", ["cub200", "cars196", "sop"])
def test_configurations_are_those_of_table_2(golden: Path, dataset: str, backbone: str) -> None:
    table = json.loads((golden / "paper_tables.json").read_text())["table2_parameters"]
    printed = table[backbone][dataset]
    assert published_configurations(dataset, backbone) == {
        "original authors": printed["paper"],
        "tuned": printed["searched"],
    }


@pytest.mark.parametrize("backbone", ["resnet50", "bn_inception"])
@pytest.mark.parametrize("dataset", ["cub200", "cars196", "sop"])
def test_hours_are_those_of_table_7(golden: Path, dataset: str, backbone: str) -> None:
    table = json.loads((golden / "paper_tables.json").read_text())["table7_gpu_hours_per_run_v100"]
    printed = table[dataset][backbone]
    assert published_hours(dataset, backbone) == (printed["hours"], printed["epochs"])


@pytest.mark.parametrize(
    ("dataset", "backbone"), [("glyphs", "conv4"), ("cub200", "conv4"), ("inshop", "resnet50")]
)
def test_what_the_paper_lacks_has_no_rows(dataset: str, backbone: str) -> None:
    assert published_rows(dataset, backbone) == {}
    assert published_configurations(dataset, backbone) == {}
    assert published_hours(dataset, backbone) is None


def test_source_names_the_paper_and_the_table() -> None:
    assert published_source() == (
        "Yuan and Le-Phuoc 2023, ReScience C 9.2 (#8), Table 3, CC BY 4.0"
    )
    assert configurations_source() == published_source().replace("Table 3", "Table 2")
    assert hours_source() == published_source().replace("Table 3", "Table 7")
