"""What a search saw of a gain, over folds."""

import pytest

from histsearch.reports import retrained_pairs
from histsearch.studies.trial_briefs import TrialBrief


def brief(number: int, tau: int, fold: int, score: float) -> TrialBrief:
    return TrialBrief(number, number, score, {"tau": tau}, fold)


EASY = [brief(0, 32, 0, 0.70), brief(1, 32, 1, 0.90), brief(2, 24, 0, 0.75), brief(3, 24, 0, 0.74)]


def test_a_gain_is_over_the_folds_that_validated_both() -> None:
    gain = retrained_pairs.gain_seen
    assert gain(EASY, 2, 0) == pytest.approx(0.05), "fold 1 is easier, and validated one only"
    assert gain(EASY, 2, 1) == pytest.approx(0.05)
    assert gain(EASY[1:], 2, 1) is None, "no fold validated both"


def test_one_configuration_has_no_gain_over_itself() -> None:
    assert retrained_pairs.gain_seen(EASY, 2, 3) is None
    assert retrained_pairs.gain_seen(EASY, 2, None) is None
