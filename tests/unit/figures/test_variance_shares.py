import numpy as np

from histsearch.figures.variance_shares import variance_shares
from histsearch.search.standing import Share
from tests.unit.figures.made_up import drawn, reason

SHARES = [
    Share(["lr"], 0.5, 0.4, 0.6),
    Share(["tau"], 0.2, 0.1, 0.3),
    Share(["lr", "tau"], 0.06, 0.01, 0.12),
]


def test_each_share_stands_with_its_interval() -> None:
    result = drawn(variance_shares(SHARES))
    (axes,) = result.figure.axes
    data = [np.asarray(line.get_xydata()).tolist() for line in axes.lines]
    assert data[0] == [[40.0, 0.0], [60.0, 0.0]]
    assert data[1] == [[50.0, 0.0]]
    assert data[4] == [[1.0, 2.0], [12.0, 2.0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lr", "tau", "lr × tau"]
    assert axes.texts[0].get_text() == "50% (40% to 60%)"
    assert "lr 50% (40% to 60%), tau 20% (10% to 30%), lr with tau 6% (1% to 12%)" in result.alt


def test_twenty_are_shown() -> None:
    figure = drawn(variance_shares([Share([f"p{at}"], 0.01, 0.0, 0.1) for at in range(33)])).figure
    assert len(figure.axes[0].get_yticklabels()) == 20
    assert "… and 13 more shares" in figure.get_supxlabel()


def test_without_a_model_it_says_which_one_knows() -> None:
    assert 'sampler = "freeze-thaw"' in reason(variance_shares([]))
