import pytest
from rich.cells import cell_len

from histsearch.cli.narrow_table import narrow_table
from histsearch.cli.output import console

COLUMNS = ("study", "state", "trials", "paused", "failed", "hours", "ETA")
ETA = "3 h 20 min, at most 5 h 10 min, or earlier"
BIRDS = ("cars196-bn_inception", "open", "12/100", "3", "0", "12.3 GPU-hours", ETA)
NEW = ("claims-small-figure3a-embedding_size-hgnn_hidden", "paused", "0/9", "0", "0", "0", "")


def drawn(width: int, *rows: tuple[str, ...]) -> list[str]:
    """The lines of a table, on a terminal of that width."""
    shown = console(width)
    broken = {"study": 20, "ETA": 16}
    less_first = ("failed", "paused", "hours", "state")
    with shown.capture() as captured:
        shown.print(narrow_table(COLUMNS, rows, width, less_first=less_first, broken=broken))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_wide_terminal_gets_every_column_on_one_line_a_row() -> None:
    head, row = drawn(200, BIRDS)
    assert head.split() == list(COLUMNS)
    assert row.endswith(f"12.3 GPU-hours  {ETA}")


def test_columns_of_zeros_go_first_then_the_others_in_turn() -> None:
    expected = {
        81: ("study", "state", "trials", "paused", "hours", "ETA"),
        73: ("study", "state", "trials", "hours", "ETA"),
        65: ("study", "state", "trials", "ETA"),
        48: ("study", "trials", "ETA"),
    }
    for width, columns in expected.items():
        assert drawn(width, BIRDS)[0].split() == list(columns)
    no_pauses = (*BIRDS[:3], "0", "1", *BIRDS[5:])
    assert "failed" in drawn(81, no_pauses)[0]
    assert "paused" not in drawn(81, no_pauses)[0]


@pytest.mark.parametrize("width", range(48, 100, 3))
def test_no_name_and_no_figure_is_cut_short(width: int) -> None:
    lines = drawn(width, BIRDS, NEW)
    assert all(cell_len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    second = lines[0].index(lines[0].split()[1])
    names, times = (
        "".join("".join(line[slice(*place)] for line in lines[1:]).split())
        for place in ((0, second), (lines[0].index("ETA"), width))
    )
    assert names == BIRDS[0] + NEW[0]
    assert times == "".join(ETA.split())


def test_an_empty_table_has_its_heading() -> None:
    assert drawn(80)[0].startswith("study")


def test_a_name_is_text() -> None:
    shown = "\n".join(drawn(200, ("[red]a\x1b[2J", *BIRDS[1:])))
    assert "[red]a\\x1b[2J" in shown
