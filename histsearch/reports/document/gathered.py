"""All that a report is made of: its searches, and the comparisons between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from histsearch.database.storage import Storage
from histsearch.reports.collect import build_report, find_search
from histsearch.reports.comparisons import Comparison, Pair, Side, compare
from histsearch.reports.document.reported import Reported
from histsearch.reports.ranking import Ranking, rank
from histsearch.reports.retrained_pairs import retrained_pairs, side_of
from histsearch.space.likeness import differences, same_hyperparameters
from histsearch.space.space import Decided
from histsearch.studies.retraining_seeds import retrainings_of
from histsearch.studies.study import IMAGES
from histsearch.studies.tuning import tuning_of

_POINTS = 100


@dataclass(frozen=True)
class Gathered:
    """What a report is made of.

    Attributes:
        searches: Its searches.
        across: What the winners of searches are to one another, where these were tuned alike.
        apart: Why that isn't asked of others, a sentence for each pair of searches.
        rankings: The searches that were tuned alike, those of one tuning together.
    """

    searches: Sequence[Reported]
    across: Sequence[Comparison] = ()
    apart: Sequence[str] = ()
    rankings: Sequence[Ranking] = ()


def gather(storage: Storage, names: Sequence[str]) -> Gathered:
    """What a report shows of some studies, each search once; all comparisons are judged together.

    Args:
        storage: Where they are.
        names: Searches, or retrainings, which stand for theirs.

    Raises:
        StudyError: There is no such study.
    """
    studies = {one.name: one for one in (find_search(storage, name) for name in names)}
    searches = [
        Reported(study, retrainings_of(study), build_report(storage, name))
        for name, study in studies.items()
    ]
    return searches_together(searches)


def searches_together(searches: Sequence[Reported]) -> Gathered:
    """Some searches with all comparisons judged together, those between them as well."""
    several = len(searches) > 1
    own = [[_named(pair, one.name if several else "") for pair in _pairs(one)] for one in searches]
    across: list[Pair] = []
    apart: list[str] = []
    for first, second in combinations(searches, 2):
        reason = _why_apart(first, second)
        if reason is not None:
            apart.append(f"{first.name} and {second.name} {reason}.")
        else:
            across.append(_pair(first, second))
    found = iter(compare([*(pair for pairs in own for pair in pairs), *across]))
    judged = [
        replace(one, report=replace(one.report, comparisons=[next(found) for _ in pairs]))
        for one, pairs in zip(searches, own, strict=True)
    ]
    compared = list(found)
    rankings = [_ranking(each, compared) for each in _tuned_alike(searches)]
    return Gathered(judged, compared, apart, rankings)


def _ranking(searches: Sequence[Reported], compared: Sequence[Comparison]) -> Ranking:
    lacks = {one.name: lack for one in searches if (lack := _lack(one)) is not None}
    return rank([one.report for one in searches], lacks, compared, _delta(searches[0]))


def _tuned_alike(searches: Sequence[Reported]) -> list[list[Reported]]:
    """The searches of each tuning that several have."""
    groups: list[list[Reported]] = []
    for one in searches:
        for group in groups:
            # With each: one whose images aren't known yet is like searches of different images.
            if all(_why_unlike(other, one) is None for other in group):
                group.append(one)
                break
        else:
            groups.append([one])
    return [group for group in groups if len(group) > 1]


def _why_unlike(first: Reported, second: Reported) -> str | None:
    """Why two searches weren't tuned alike, on the same images; None where they were."""
    both = (first, second)
    differing = differences([tuning_of(one.study) for one in both])
    if differing:
        return f"weren't tuned alike: {', '.join(map(str, differing))}"
    images = [one.study.optuna_study.user_attrs.get(IMAGES) for one in both]
    return "are of other images" if None not in images and images[0] != images[1] else None


def _pairs(one: Reported) -> list[Pair]:
    return retrained_pairs(one.study, one.report.retrained)


def _named(pair: Pair, search: str) -> Pair:
    """The same pair with its search's name on both sides."""
    first, second = (replace(side, search=search) for side in (pair.first, pair.second))
    return replace(pair, first=first, second=second)


def _why_apart(first: Reported, second: Reported) -> str | None:
    """Why the winners of two searches aren't compared; None where they are."""
    unlike = _why_unlike(first, second)
    if unlike is not None:
        return unlike
    lacks = [f"{one.name} {lack}" for one in (first, second) if (lack := _lack(one)) is not None]
    return f"can't be compared yet: {', '.join(lacks)}" if lacks else None


def _lack(one: Reported) -> str | None:
    """Why a search can't be compared yet with any other; None where it can."""
    if not one.study.is_finished:
        return "hasn't ended"
    return "has no retrained winner" if one.report.tested_winner is None else None


def _pair(first: Reported, second: Reported) -> Pair:
    return Pair(
        winner_side(first),
        winner_side(second),
        first.report.objective,
        _delta(first),
        on_test_classes=first.report.on_test_classes,
        remark=_of_one_loss(first, second),
    )


def _delta(one: Reported) -> float:
    """What scores may differ by and be equivalent, a fraction."""
    return (one.study.limits.decided or Decided()).delta / _POINTS


def _of_one_loss(first: Reported, second: Reported) -> str:
    """That two searches are of the same loss, a sentence; empty where they aren't."""
    spaces = [one.study.definition.space for one in (first, second)]
    if spaces[0].loss != spaces[1].loss:
        return ""
    over = "the same values" if same_hyperparameters(*spaces) else "other values"
    return f"Both searches are of the loss {spaces[0].loss}, over {over} of its hyperparameters."


def winner_side(one: Reported) -> Side:
    """The retrained winner of a search, which has one, as a side of a comparison."""
    winner = one.report.tested_winner
    assert winner is not None
    return replace(side_of(winner), search=one.name)
