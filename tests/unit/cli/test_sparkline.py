import pytest

from histsearch.cli.sparkline import ASCII, BLOCKS, levels_for, sparkline


def test_the_lowest_value_has_the_lowest_block_and_the_highest_the_highest() -> None:
    assert sparkline([0.25, 0.5, 0.75], 3, 0.25, 0.75) == BLOCKS[0] + BLOCKS[4] + BLOCKS[7]
    assert sparkline([0.2, 0.8], 3, 0.2, 0.8, ASCII) == "_@"


def test_equal_values_are_full_and_unknown_ones_a_gap() -> None:
    assert sparkline([0.5, None, 0.5], 3, 0.5, 0.5) == BLOCKS[7] + " " + BLOCKS[7]
    assert sparkline([], 60, 0.0, 1.0) == ""


def test_a_long_curve_is_drawn_in_proportion_and_ends_with_its_last_value() -> None:
    rising = [epoch / 60 for epoch in range(1, 61)]
    whole = sparkline(rising, 60, 0.0, 1.0)
    half = sparkline(rising[:30], 60, 0.0, 1.0)
    assert (len(whole), len(half)) == (20, 10)
    assert list(whole) == sorted(whole)
    assert whole[-1] == BLOCKS[7]
    assert whole.startswith(half)
    assert len(sparkline(rising[:1], 60, 0.0, 1.0)) == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no such", None])
def test_an_encoding_without_the_blocks_has_ascii(encoding: str | None) -> None:
    assert levels_for(encoding) == ASCII
    assert ASCII.isascii()


def test_utf_8_has_the_blocks() -> None:
    assert levels_for("utf-8") == BLOCKS
