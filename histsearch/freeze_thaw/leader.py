"""The leader, of the configurations that ran the one with the best expectations, and its rivals."""

from collections.abc import Sequence

from histsearch.freeze_thaw.actions import Action
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.trials import TrialView

_LEADERS_PART = 0.5  # of all epochs, until it is complete


def leading(
    trials: Sequence[TrialView],
    posterior: Posterior,
    epochs: int,
    current: int | None,
    barred: Sequence[int],
) -> int | None:
    """The leader's furthest trial, if it should go on now.

    Args:
        trials: All trials of the study.
        posterior: What they say.
        epochs: Of a full run.
        current: The trial that a worker has at hand.
        barred: Candidates that must not be trained.
    """
    leader = _leader(trials, posterior, barred)
    if leader is None:
        return None
    its = [number for number, trial in enumerate(trials) if trial.configuration == leader]
    if any(trials[one].running or len(trials[one].recalls) == epochs for one in its):
        return None
    able = [one for one in its if trials[one].resumable or one == current]
    furthest = max(able, key=lambda one: len(trials[one].recalls), default=None)
    known = sum(len(trial.recalls) for trial in trials)
    if furthest is None or len(trials[furthest].recalls) >= _LEADERS_PART * known:
        return None
    return furthest


def last_word(
    trials: Sequence[TrialView],
    posterior: Posterior,
    epochs: int,
    current: int | None,
    barred: Sequence[int],
) -> Action | None:
    """What to go on with when no new trial may start: the leader, else its likeliest rival.

    Args:
        trials: All trials of the study.
        posterior: What they say.
        epochs: Of a full run.
        current: The trial that a worker has at hand.
        barred: Candidates that must not be trained.
    """
    able = [
        number
        for number, one in enumerate(trials)
        if (one.resumable or number == current)
        and len(one.recalls) < epochs
        and one.configuration not in barred
    ]
    leader = _leader(trials, posterior, barred)
    if not able or leader is None:
        return None
    chance_G = posterior.chance_of_beating(leader)
    chance_G[leader] = not any(
        trial.configuration == leader and (trial.running or len(trial.recalls) == epochs)
        for trial in trials
    )

    def likeliest(number: int) -> tuple[float, int, int]:
        trial = trials[number]
        return float(chance_G[trial.configuration]), len(trial.recalls), -number

    best = max(able, key=likeliest)
    return Action(trials[best].configuration, best)


def _leader(trials: Sequence[TrialView], posterior: Posterior, barred: Sequence[int]) -> int | None:
    ran = {trial.configuration for trial in trials if trial.recalls}.difference(barred)
    return max(sorted(ran), key=lambda row: float(posterior.mean_G[row]), default=None)
