"""What a worker leaves undone because its study is paused."""

from collections.abc import Sequence
from contextlib import suppress

from optuna.trial import TrialState

from histsearch.studies.study import Study
from histsearch.wording import counted


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
    parts = []
    if waiting:
        parts.append(f"{counted(waiting, 'trial')} {'waits' if waiting == 1 else 'wait'}")
    if new:
        parts.append(f"{counted(new, 'trial')} {'is' if new == 1 else 'are'} yet to begin")
    return ", ".join(parts)
