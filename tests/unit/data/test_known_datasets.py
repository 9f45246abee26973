import pytest

from histsearch.data.known_datasets import find_dataset
from histsearch.exceptions import SpaceError

NAMES = ("glyphs", "folder", "folder:mine", "folder:a/b", "cub200", "cars196", "sop", "inshop")


@pytest.mark.parametrize("name", NAMES)
def test_a_known_name_has_its_record(name: str) -> None:
    assert find_dataset(name).name == name


@pytest.mark.parametrize("name", ["cub", "", "Folder", "glyphs:sub"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(SpaceError, match=r"folder:SUBFOLDER, cub200, cars196, sop and inshop"):
        find_dataset(name)


@pytest.mark.parametrize(
    "name", ["folder:", "folder:.", "folder:/etc", "folder:../x", "folder:a/.."]
)
def test_a_subfolder_stays_inside_the_data_directory(name: str) -> None:
    with pytest.raises(SpaceError, match="no folder inside the data directory"):
        find_dataset(name)


def test_each_data_set_has_the_k_that_papers_report() -> None:
    for name in ("cub200", "cars196", "folder:mine", "glyphs"):
        assert find_dataset(name).recall_ks == (1, 2, 4, 8, 16, 32)
    assert find_dataset("sop").recall_ks == (1, 10, 100, 1000)
    assert find_dataset("inshop").recall_ks == (1, 10, 20, 30, 40, 50)


def test_nmi_is_the_mean_of_ten_clusterings_where_they_are_quick() -> None:
    repeats = {name: find_dataset(name).nmi_repeats for name in NAMES}
    assert repeats == {name: 1 if name in ("sop", "inshop") else 10 for name in NAMES}
