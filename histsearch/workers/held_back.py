"""What a worker leaves undone because its study is paused."""

from collections.abc import Sequence
from contextlib import suppress

from optuna.trial import TrialState

from histsearch.studies.study import Study


def held_back(studies: Sequence[Study]) -> str:
    """What paused studies have left to do, in words; empty when there is nothing."""
    sentences = []
    for study in studies:
        with suppress(KeyError):  # it was deleted a moment ago
            left = _left_to_do(study) if study.paused else ""
            if left:
                sentences.append(f"{study.name} is paused, {left}")
    return "; ".join(sentences)


def _left_to_do(study: Study) -> str:
    waiting = study.count(TrialState.WAITING)
    new = study.budget - study.count() if study.may_start else 0
    parts = [
        _counted(waiting, "trial waits", "trials wait"),
        _counted(new, "trial is yet to begin", "trials are yet to begin"),
    ]
    return ", ".join(part for part in parts if part)


def _counted(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}" if number else ""
