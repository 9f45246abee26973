from dataclasses import replace

import pytest
from scipy import stats

from histsearch.reports.comparisons import Pair, Side, compare, p_text

FIRST_SEED = 1_000_000
NEAR = (0.700, 0.702, 0.704, 0.699, 0.705)


def side(label: str, *scores: float) -> Side:
    return Side(label, "birds-retrain", dict(enumerate(scores, FIRST_SEED)))


def pair(first: tuple[float, ...], second: tuple[float, ...]) -> Pair:
    return Pair(side("tuned #7", *first), side("baseline authors", *second), "R@1", 0.005)


def shifted(scores: tuple[float, ...], by: float) -> tuple[float, ...]:
    return tuple(score + by for score in scores)


def test_a_higher_mean_beyond_chance_is_better() -> None:
    both = (shifted(NEAR, 0.02), tuple(reversed(NEAR)))
    (better,) = compare([pair(*both)])
    (worse,) = compare([pair(*reversed(both))])
    assert (better.first, better.second) == ("tuned #7", "baseline authors")
    assert (better.verdict, worse.verdict) == ("better", "worse")
    expected = stats.ttest_ind(*both, equal_var=False)
    assert better.p_difference == pytest.approx(float(expected.pvalue))
    assert better.difference is not None
    assert better.difference.low == pytest.approx(float(expected.confidence_interval().low))
    assert better.sentence.startswith(
        "tuned #7 minus baseline authors: +2.0 points of R@1, Welch's 95% interval +1.6 to +2.4. "
        "tuned #7 is better (p < 0.001). Correlation over the same 5 seeds: "
    )
    assert better.seeds_to_add is None
    assert "tuned #7 is worse" in worse.sentence


def test_a_difference_within_delta_is_equivalent() -> None:
    (found,) = compare([replace(pair(NEAR, tuple(reversed(NEAR))), delta=0.01)])
    assert found.verdict == "equivalent"
    assert found.p_equivalence is not None
    assert found.p_equivalence < 0.05
    assert "The two are equivalent within 1 point (two one-sided Welch tests, p " in found.sentence
    assert found.seeds_to_add is None


def test_a_small_difference_beyond_chance_is_said_to_be_small() -> None:
    (found,) = compare([replace(pair(shifted(NEAR, 0.02), NEAR), delta=0.1)])
    assert found.verdict == "better"
    assert "is better (p < 0.001), yet the two are equivalent within 10 points." in found.sentence


def test_undecided_says_how_many_seeds_would_tell() -> None:
    wide = (0.68, 0.70, 0.72, 0.69, 0.71)
    (found,) = compare([pair(wide, shifted(tuple(reversed(wide)), 0.01))])
    assert found.verdict == "undecided"
    number = found.seeds_to_add
    assert number is not None
    assert (
        f"about {number} more seeds a side would tell: histsearch retrain birds-retrain "
        f"--add-seeds {number}." in found.sentence
    )
    told = wide * (1 + -(-number // 5))
    (decided,) = compare([pair(told, shifted(told, 0.01))])
    assert decided.verdict == "worse"


def test_more_seeds_than_anybody_runs_are_not_counted() -> None:
    wide = (0.68, 0.70, 0.72, 0.69, 0.71)
    (found,) = compare([replace(pair(wide, wide), delta=1e-5)])
    assert found.seeds_to_add == 1_000
    assert "only more than 1,000 more seeds a side would tell." in found.sentence


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (3, 3, "n = 3 seeds a side; a verdict needs 5: histsearch retrain birds-retrain --add-"),
        (4, 5, "n = 4 and 5 seeds; a verdict needs 5: histsearch retrain birds-retrain --add-"),
        (1, 1, "tuned #7 against baseline authors: n = 1 seed a side; a verdict needs 5: "),
        (2, 5, "tuned #7 against baseline authors: n = 2 and 5 seeds; a verdict needs 5: "),
    ],
)
def test_fewer_than_five_seeds_have_no_verdict(first: int, second: int, says: str) -> None:
    (found,) = compare([pair(shifted(NEAR, 0.1)[:first], NEAR[:second])])
    assert (found.verdict, found.p_difference, found.p_equivalence) == ("too few seeds", None, None)
    assert says in found.sentence
    assert f"--add-seeds {5 - first}." in found.sentence
    assert found.seeds_to_add == 5 - first
    assert (found.difference is None) == (first < 3)


def test_each_family_is_corrected_over_the_comparisons_with_a_verdict() -> None:
    weak = pair(shifted(NEAR, 0.004), NEAR)
    too_few = pair(NEAR[:4], NEAR)
    (alone,) = compare([weak])
    assert alone.verdict == "better"
    assert compare([weak, too_few])[0] == alone
    first, second, third, _ = compare([weak, weak, pair(shifted(NEAR, 0.1), NEAR), too_few])
    assert alone.p_difference is not None
    assert first.p_difference == pytest.approx(2 * alone.p_difference)
    assert (first.verdict, second.verdict, third.verdict) == ("undecided", "undecided", "better")
    assert "after Holm's correction over 3" in first.sentence
    assert alone.p_equivalence is not None
    assert first.p_equivalence == pytest.approx(min(1, 3 * alone.p_equivalence))


def test_correlation_is_over_the_same_seeds() -> None:
    first = side("tuned #7", 0.1, 0.2, 0.4, 0.3, 0.5)
    second = Side("baseline", "birds-retrain", {FIRST_SEED + n: s for n, s in OTHER.items()})
    (found,) = compare([Pair(first, second, "R@1", 0.005)])
    expected = stats.pearsonr([0.2, 0.4, 0.3, 0.5], [OTHER[n] for n in (1, 2, 3, 4)]).statistic
    assert found.correlation == pytest.approx(float(expected))
    assert f"Correlation over the same 4 seeds: {found.correlation:+.2f}." in found.sentence


OTHER = {9: 0.3, 4: 0.2, 2: 0.25, 3: 0.5, 1: 0.1}


def test_luck_is_what_the_test_classes_do_not_show() -> None:
    seen = replace(pair(shifted(NEAR, 0.01), NEAR), validation_gain=0.031)
    (found,) = compare([seen])
    assert found.luck is not None
    assert found.luck.validation_gain == 0.031
    assert found.luck.test_gain == pytest.approx(0.01)
    assert found.luck.lost == pytest.approx(0.021)
    assert (
        "The search saw a gain of +3.1 points, the test classes show +1.0, 2.1 less, by luck in "
        "part."
    ) in found.sentence
    (kept,) = compare([replace(seen, validation_gain=0.005)])
    assert "The search saw a gain of +0.5 points, the test classes show +1.0." in kept.sentence
    (unseen,) = compare([pair(NEAR, NEAR)])
    assert unseen.luck is None
    assert "The search" not in unseen.sentence


def test_selection_on_test_classes_is_said_of_each_comparison() -> None:
    marked = replace(pair(NEAR, NEAR), on_test_classes=True)
    few = replace(pair(NEAR[:3], NEAR), on_test_classes=True)
    for found in compare([marked, few]):
        assert found.sentence.endswith("Selected on the test classes: no fair estimate.")
    (fair,) = compare([pair(NEAR, NEAR)])
    assert "Selected" not in fair.sentence


def test_two_retrainings_are_given_seeds_both() -> None:
    few = pair(NEAR[:4], NEAR[:4])
    (found,) = compare([replace(few, second=replace(few.second, retraining="again"))])
    assert (
        "histsearch retrain birds-retrain --add-seeds 1 and histsearch retrain again --add-seeds 1."
    ) in found.sentence


def test_a_retraining_with_the_seeds_already_is_not_given_more() -> None:
    few = pair(NEAR[:4], NEAR)
    (found,) = compare([replace(few, second=replace(few.second, retraining="again"))])
    assert "a verdict needs 5: histsearch retrain birds-retrain --add-seeds 1. " in found.sentence


def coming(found: Pair, runs: int) -> Pair:
    first, second = (replace(one, to_come=runs) for one in (found.first, found.second))
    return replace(found, first=first, second=second)


def test_seeds_that_are_queued_are_not_asked_for_again() -> None:
    few = pair(NEAR[:3], tuple(reversed(NEAR[:3])))
    enough, half = compare([coming(few, 2), coming(few, 1)])
    assert "a verdict needs 5, and 4 runs are still to come." in enough.sentence
    assert "--add-seeds" not in enough.sentence
    assert (enough.seeds_to_add, enough.runs_to_come) == (0, 4)
    assert "2 runs are still to come: histsearch retrain birds-retrain --add-seeds 1." in (
        half.sentence
    )
    wide = (0.68, 0.70, 0.72, 0.69, 0.71)
    undecided = pair(wide, shifted(tuple(reversed(wide)), 0.01))
    alone, later = compare([undecided])[0], compare([coming(undecided, 3)])[0]
    assert alone.seeds_to_add is not None
    assert later.seeds_to_add == alone.seeds_to_add - 3
    assert compare([coming(undecided, 100)])[0].seeds_to_add == 0


def test_scores_that_do_not_vary_have_no_verdict() -> None:
    flat = pair((0.50,) * 5, (0.51,) * 5)
    varied = pair(shifted(NEAR, 0.02), NEAR)
    found, other = compare([flat, varied])
    assert (found.verdict, found.p_difference, found.seeds_to_add) == ("no variation", None, None)
    assert found.sentence == (
        "tuned #7 minus baseline authors: -1.0 points of R@1. The scores don't vary over seeds, "
        "so there is no verdict."
    )
    assert other == compare([varied])[0], "it is in no family"
    (half,) = compare([pair((0.60,) * 5, NEAR)])
    assert half.verdict == "worse"


def test_unequal_lengths_are_said() -> None:
    even = pair(NEAR, NEAR)
    uneven = replace(
        even, first=replace(even.first, epochs=2), second=replace(even.second, epochs=1)
    )
    few = replace(uneven, first=replace(uneven.first, scores={}))
    for found in compare([uneven, few]):
        assert "baseline authors (2 against 1 epoch):" in found.sentence
    assert "epoch" not in compare([even])[0].sentence


def test_searches_are_named_where_there_are_several() -> None:
    own = pair(shifted(NEAR, 0.02), NEAR)
    first, second = (replace(one, search="birds") for one in (own.first, own.second))
    (found,) = compare([replace(own, first=first, second=second)])
    assert found.sentence.startswith("birds: tuned #7 minus birds: baseline authors: ")
    assert "birds: tuned #7 is better" in found.sentence
    assert (found.first, found.names[1]) == ("tuned #7", "birds: baseline authors")


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(0.0004, "p < 0.001"), (0.73, "p = 0.73"), (0.0504, "p = 0.0504"), (0.0497, "p = 0.05")],
)
def test_a_p_value_is_not_rounded_across_significance(p_value: float, text: str) -> None:
    assert p_text(p_value, 1) == text
