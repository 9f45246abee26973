import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from histsearch.figures import look
from tests.unit.figures.made_up import HOSTILE


def shown(text: str) -> tuple[str, bool]:
    """What matplotlib shows of a text, and whether it takes it for a formula."""
    artist: Text = Figure().text(0.0, 0.0, text)
    result: tuple[str, bool] = artist._preprocess_math(artist.get_text())  # type: ignore[attr-defined]
    return result


def test_no_name_is_taken_for_a_formula() -> None:
    for name in ("$x$", "a$b", "\\$x$", "$$", "\\alpha", "$\\bad{$", "plain"):
        assert shown(look.text(name)) == (name, False)
        assert shown(look.wrapped(name, 2, lines=9))[0].replace("\n", "") == name


def test_what_a_terminal_or_xml_would_not_take_is_made_visible() -> None:
    assert look.plain(HOSTILE) == "$\\alpha$ </svg><script>\\n\\x1b…"
    assert look.plain("a\ufffeb\uffff") == "a\ufffdb\ufffd"
    assert look.plain("\ud800") == "\\ud800"


def test_long_names_are_cut_to_what_there_is_room_for() -> None:
    assert look.text("x" * 30) == "x" * 30
    assert look.text("x" * 31) == "x" * 29 + "…"
    assert look.wrapped("abcdefghij", 3) == "abc\nde…"
    assert look.wrapped("abcd", 3) == "abc\nd"


def test_it_says_how_many_are_left_out() -> None:
    assert look.and_more(12, 12, "parameters") == []
    assert look.and_more(12, 1412, "classes") == ["… and 1,400 more classes"]


def test_panels_are_as_many_as_asked_for() -> None:
    figure = look.new_figure(3.0)
    assert len(look.panels(figure, 4, 3)) == len(figure.axes) == 4


def test_many_marks_are_one_image() -> None:
    axes = Figure().subplots()
    for number in (look.MANY, look.MANY + 1):
        look.scatter(axes, [(float(at), 1.0) for at in range(number)], 9.0, color=look.STRONG)
    few, many = axes.collections
    assert (few.get_rasterized(), many.get_rasterized()) == (False, True)
    assert len(np.asarray(many.get_offsets())) == look.MANY + 1
