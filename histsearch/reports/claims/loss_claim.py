"""Claim 5: the tuned HIST against the tuned Proxy-Anchor, by the comparisons of their reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError, StudyError
from histsearch.reports.claims.rules import ClaimVerdict, Finding
from histsearch.reports.comparisons import Comparison, Pair, compare
from histsearch.reports.document.gathered import gather, winner_side
from histsearch.reports.document.reported import Reported
from histsearch.space.reading import builtin_spaces
from histsearch.space.toml_text import read_toml

DELTA = 0.005
"""What the tuned losses may differ by and be equivalent, as a fraction."""

LOSS_PAIRS: Mapping[str, Sequence[tuple[str, str]]] = MappingProxyType(
    {
        "claims": (("reality-check/hist", "reality-check/proxy-anchor"),),
        "claims/small": (
            ("reality-check/small/hist", "reality-check/small/proxy-anchor"),
            ("caltech101-lite0", "proxy-anchor/caltech101-lite0"),
        ),
    }
)
"""By folder of claims, the spaces of HIST and of Proxy-Anchor that are compared."""

_LOSSES = ("hist", "proxy-anchor")
_AS_GOOD = ("better", "equivalent")


@dataclass(frozen=True)
class LossComparison:
    """HIST against Proxy-Anchor on the same images.

    Attributes:
        spaces: That of HIST, and that of Proxy-Anchor.
        comparison: What their retrained winners allow to say; None where that is missing.
        missing: Why it is, a sentence; empty where it isn't.
        commands: What leads to it.
    """

    spaces: tuple[str, str]
    comparison: Comparison | None
    missing: str = ""
    commands: Sequence[str] = ()


def compare_losses(storage: Storage, folder: str) -> list[LossComparison]:
    """The comparisons that claim 5 reads; none for a folder of one's own.

    All that can be made are judged together, with Holm's correction over them.
    """
    spaces = LOSS_PAIRS.get(folder.rstrip("/"), ())
    found = [_pair(storage, pair) for pair in spaces]
    judged = iter(compare([pair for pair in found if isinstance(pair, Pair)]))
    return [
        LossComparison(pair, next(judged)) if isinstance(one, Pair) else one
        for pair, one in zip(spaces, found, strict=True)
    ]


def _pair(storage: Storage, spaces: tuple[str, str]) -> Pair | LossComparison:
    """The retrained winners of two spaces' studies, or why they can't be compared."""
    try:
        names = [_study_name(space) for space in spaces]
        gathered = gather(storage, names)
        _check(gathered.searches, spaces)
    except (SpaceError, StudyError) as error:
        return LossComparison(spaces, None, str(error), _commands(spaces))
    if gathered.apart:
        # Without a ranking they weren't tuned alike, which no further run changes.
        commands = _commands(spaces) if gathered.rankings else ()
        return LossComparison(spaces, None, gathered.apart[0], commands)
    first, second = gathered.searches
    return Pair(
        winner_side(first),
        winner_side(second),
        first.report.objective,
        DELTA,
        on_test_classes=first.report.on_test_classes or second.report.on_test_classes,
    )


def _check(searches: Sequence[Reported], spaces: Sequence[str]) -> None:
    """Make sure that studies, found by their names, are of the losses and images of spaces.

    Raises:
        StudyError: One isn't.
    """
    for one, space, loss in zip(searches, spaces, _LOSSES, strict=True):
        own, dataset = one.study.definition.space, _read(space)["dataset"]
        if (own.loss.name, own.dataset) != (loss, dataset):
            raise StudyError(
                f'found the study "{one.name}", which is of {own.loss.name} on {own.dataset}, '
                f"needed: {loss} on {dataset}, as the space {space} has it; delete the study to "
                "create that of the space"
            )


def _study_name(space: str) -> str:
    """The name that a space gives its study.

    Raises:
        SpaceError: There is no such space, or it can't be read.
    """
    return str(_read(space)["name"])


def _read(space: str) -> Mapping[str, Any]:
    """What the file of a space holds, unchecked: its backbone may be unknown to this machine."""
    path = builtin_spaces().get(space)
    if path is None:
        raise SpaceError(f'found no space "{space}" in this version')
    return read_toml(path)


def _commands(spaces: Sequence[str]) -> list[str]:
    """What leads from nothing to two retrained winners, those that were run already included."""
    try:
        names = [_study_name(space) for space in spaces]
    except SpaceError:
        return []
    studies = " ".join(f"--study {name}" for name in names)
    retrainings = " ".join(f"--study {name}-retrain" for name in names)
    return [
        f"histsearch compare {' '.join(spaces)}",
        f"histsearch worker {studies} --drain --gpu all",
        f"histsearch retrain {' '.join(names)}",
        f"histsearch worker {retrainings} --drain --gpu all",
    ]


def judge_losses(comparisons: Sequence[LossComparison]) -> Finding:
    """What the comparisons say of claim 5.

    Supported where HIST is better in one and better or equivalent in the others; not supported
    where it is worse in one, or equivalent in all; undecided otherwise.
    """
    made = [one.comparison for one in comparisons if one.comparison is not None]
    sentences = [one.sentence for one in made]
    missing = len(comparisons) - len(made)
    if missing or not comparisons:
        sentences.append(_lacking(missing, len(comparisons)))
    verdicts = [one.verdict for one in made]
    return Finding(_verdict(verdicts, is_whole=not missing), " ".join(sentences))


def _verdict(verdicts: Sequence[str], *, is_whole: bool) -> ClaimVerdict:
    if "worse" in verdicts:
        return "not supported"
    if not is_whole or not verdicts or any(one not in _AS_GOOD for one in verdicts):
        return "undecided"
    return "supported" if "better" in verdicts else "not supported"


def _lacking(missing: int, number: int) -> str:
    if not number:
        return "No comparison of losses belongs to this folder."
    if missing == number:
        return "None of its comparisons can be made yet."
    return f"{missing} of its {number} comparisons can't be made yet."
