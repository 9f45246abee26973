import subprocess
import sys

import pytest

from histsearch.data.catalog import check_dataset_name, recall_ks
from histsearch.exceptions import SpaceError

NAMES = ("glyphs", "folder", "folder:mine", "folder:a/b", "cub200", "cars196", "sop", "inshop")


@pytest.mark.parametrize("name", NAMES)
def test_known_names_pass(name: str) -> None:
    check_dataset_name(name)


@pytest.mark.parametrize("name", ["cub", "", "Folder", "glyphs:sub"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(SpaceError, match=r"folder:SUBFOLDER, cub200, cars196, sop and inshop"):
        check_dataset_name(name)


@pytest.mark.parametrize(
    "name", ["folder:", "folder:.", "folder:/etc", "folder:../x", "folder:a/.."]
)
def test_a_subfolder_stays_inside_the_data_directory(name: str) -> None:
    with pytest.raises(SpaceError, match="no folder inside the data directory"):
        check_dataset_name(name)


def test_each_data_set_has_the_k_that_papers_report() -> None:
    assert recall_ks("cub200") == recall_ks("cars196") == (1, 2, 4, 8, 16, 32)
    assert recall_ks("folder:mine") == recall_ks("glyphs") == (1, 2, 4, 8, 16, 32)
    assert recall_ks("sop") == (1, 10, 100, 1000)
    assert recall_ks("inshop") == (1, 10, 20, 30, 40, 50)


def test_an_unknown_name_has_no_k() -> None:
    with pytest.raises(SpaceError):
        recall_ks("mnist")


def test_the_catalog_imports_neither_torch_nor_numpy() -> None:
    script = (
        "import sys, histsearch.data.catalog\n"
        "print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
