"""All that a report is made of: its searches, and the comparisons between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from histsearch.database.storage import Storage
from histsearch.reports.collect import build_report, find_search
from histsearch.reports.comparisons import Comparison, Pair, Side, compare
from histsearch.reports.document.reported import Reported
from histsearch.reports.retrained_pairs import retrained_pairs, side_of
from histsearch.space.space import Decided
from histsearch.studies.definition import SearchDefinition
from histsearch.studies.retraining_seeds import retrainings_of
from histsearch.studies.study import IMAGES

_POINTS = 100


@dataclass(frozen=True)
class Gathered:
    """What a report is made of.

    Attributes:
        searches: Its searches.
        across: What the winners of searches are to one another, where that can be asked.
        apart: Why it can't be asked of others, a sentence for each pair of searches.
    """

    searches: Sequence[Reported]
    across: Sequence[Comparison] = ()
    apart: Sequence[str] = ()


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
    return Gathered(judged, list(found), apart)


def _pairs(one: Reported) -> list[Pair]:
    return retrained_pairs(one.study, one.report.retrained)


def _named(pair: Pair, search: str) -> Pair:
    """The same pair with its search's name on both sides."""
    first, second = (replace(side, search=search) for side in (pair.first, pair.second))
    return replace(pair, first=first, second=second)


def _why_apart(first: Reported, second: Reported) -> str | None:
    """Why the winners of two searches can't be compared; None where they can."""
    spaces = [one.study.definition.space for one in (first, second)]
    images = [one.study.optuna_study.user_attrs.get(IMAGES) for one in (first, second)]
    asked: dict[str, list[object]] = {
        "are of other data sets": [space.dataset for space in spaces],
        "are of other images": images,
        "have other backbones": [space.backbone for space in spaces],
        "start from different weights": [space.weights for space in spaces],
        "use different protocols": [space.protocol for space in spaces],
        "have different δ": [_delta(one) for one in (first, second)],
        "trained for other numbers of epochs": [space.epochs for space in spaces],
    }
    for reason, (one, other) in asked.items():
        if one != other:
            return reason
    lacking = [one.name for one in (first, second) if one.report.tested_winner is None]
    return f"can't be compared yet: {lacking[0]} has no retrained winner" if lacking else None


def _pair(first: Reported, second: Reported) -> Pair:
    return Pair(
        _winner(first),
        _winner(second),
        first.report.objective,
        _delta(first) / _POINTS,
        on_test_classes=first.report.on_test_classes or second.report.on_test_classes,
        remark=_differences(first, second),
    )


def _delta(one: Reported) -> float:
    """What counts as equivalent, in points."""
    return (one.study.limits.decided or Decided()).delta


def _differences(first: Reported, second: Reported) -> str:
    """What two searches differ in that a comparison of their winners doesn't show: a sentence."""
    own, other = _setting(first), _setting(second)
    differing = [
        f"{name} {own[name]} and {other[name]}" for name in own if own[name] != other[name]
    ]
    return f"The searches differ: {', '.join(differing)}." if differing else ""


def _setting(one: Reported) -> dict[str, object]:
    definition = one.study.definition
    assert isinstance(definition, SearchDefinition)
    space, winner = definition.space, one.report.tested_winner
    values = {**space.parameters.defaults, **space.fixed, **(winner.parameters if winner else {})}
    return {
        "trials": one.report.budget,
        "sampler": space.sampler.name,
        "embedding size": values.get("embedding_size"),
    }


def _winner(one: Reported) -> Side:
    winner = one.report.tested_winner
    assert winner is not None
    return replace(side_of(winner), search=one.name)
