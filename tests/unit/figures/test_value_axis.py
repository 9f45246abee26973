import pytest
from matplotlib.figure import Figure

from histsearch.figures.value_axis import value_axis
from histsearch.space.parameters import Parameter, Range


@pytest.mark.parametrize(
    ("parameter", "scale"),
    [
        ((16, 24, 32), "linear"),
        ((4, 8, 16, 32), "log"),
        ((1e-5, 3e-5, 1e-4, 3e-4), "log"),
        ((0.0, 0.1, 0.2), "linear"),
        ((0.0, 1e-6, 1.0), "places"),
        (("avg", "max"), "places"),
        ((False, True), "places"),
        ((1, "none"), "places"),
        ((8,), "linear"),
        (Range(low=1e-5, high=1e-2, log=True), "log"),
        (Range(low=0.0, high=0.5), "linear"),
    ],
)
def test_values_lie_on_their_own_scale(parameter: Parameter, scale: str) -> None:
    assert value_axis(parameter, []).scale == scale


def test_numbers_lie_where_they_are_and_words_side_by_side() -> None:
    assert value_axis((32, 8, 16), []).position(16) == 16.0
    words = value_axis(("avg", "max", "gem"), [])
    assert [words.position(word) for word in ("avg", "gem", "none")] == [0.0, 2.0, None]
    assert value_axis(Range(low=1e-5, high=1e-2, log=True), []).position(0) is None
    assert value_axis((8, 16), []).position(True) is None


def test_each_value_of_a_list_has_its_cell() -> None:
    axis = value_axis((32, 8, 16), [])
    assert axis.cells == 3
    assert [axis.cell(value) for value in (8, 16, 32, 64)] == [0, 1, 2, None]
    assert axis.cell_ticks() == [(0.0, "8"), (1.0, "16"), (2.0, "32")]


def test_cells_of_a_range_are_of_one_width_on_its_scale() -> None:
    axis = value_axis(Range(low=1e-6, high=1.0, log=True), [])
    assert axis.cells == 6
    cells = [axis.cell(value) for value in (1e-6, 9e-6, 1.1e-5, 0.09, 1.0, 2.0, 1e-7)]
    assert cells == [0, 0, 1, 4, 5, None, None]
    assert axis.cell_ticks()[0] == (-0.5, "1e-06")
    assert axis.cell_ticks()[-1] == (5.5, "1")


def test_a_range_of_few_values_is_like_a_list() -> None:
    axis = value_axis(Range(low=0.1, high=0.5, step=0.1), [])
    assert [label for _, label in axis.cell_ticks()] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    assert axis.cell(0.3) == 2
    assert value_axis(Range(low=1, high=4), []).cells == 4


def test_neighbours_share_a_cell_where_a_list_is_long() -> None:
    axis = value_axis(tuple(range(100)), [])
    assert axis.cells == 8
    assert axis.cell(0) == 0
    assert axis.cell(99) == 7
    assert axis.cell_ticks()[0] == (0.0, "0–12")


def test_rare_words_share_the_last_cell_where_a_list_is_long() -> None:
    words = tuple(f"word{number}" for number in range(20))
    axis = value_axis(words, ["word19"] * 3 + ["word3"] * 2)
    assert axis.cells == 8
    assert axis.cell_ticks()[-1] == (7.0, "13 others")
    assert axis.cell("word19") == 6
    assert axis.cell("word18") == 7


def test_labels_that_would_overlap_are_left_out() -> None:
    axes = Figure().subplots()
    shown = value_axis(tuple(range(0, 100_000, 1000)), []).apply(axes)
    assert 2 <= len(shown) <= 8
    assert [label.get_text() for label in axes.get_xticklabels()] == [name for _, name in shown]


def test_a_range_within_a_decade_is_labelled_at_its_ends() -> None:
    shown = value_axis(Range(low=0.4, high=0.9, log=True), []).apply(Figure().subplots())
    assert shown == [(0.4, "0.4"), (0.9, "0.9")]


def test_a_position_moves_by_a_part_of_the_axis() -> None:
    axis = value_axis(Range(low=1e-4, high=1e-2, log=True), [])
    low, high = axis.ends()
    assert axis.shifted(low, 1.0) == pytest.approx(high)
    assert axis.shifted(1e-3, 0.0) == pytest.approx(1e-3)
    assert axis.gap == 0.0
    assert value_axis((1, 2, 4), []).gap > 0.0
