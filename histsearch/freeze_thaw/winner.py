"""Which configuration a search recommends."""

from collections.abc import Sequence

from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.threads import one_thread
from histsearch.freeze_thaw.trials import TrialView

_PROBABLY = 0.7  # how likely another must be better to become the winner


def choose_winner(
    posterior: Posterior,
    trials: Sequence[TrialView],
    standing: int | None = None,
    ruled_out: Sequence[int] = (),
) -> int:
    """The candidate to recommend: of those that ran, the one with the best posterior mean.

    Among near-equals that would be another after every epoch. So a winner stands until another
    candidate is better with a probability of `_PROBABLY`.

    Args:
        posterior: What the trials say.
        trials: All trials of the study.
        standing: The winner before.
        ruled_out: Candidates that can't be it, unless there are no others.
    """
    tried = {trial.configuration for trial in trials if trial.recalls}
    among = sorted(tried.difference(ruled_out) or tried or range(len(posterior.mean_G)))
    row = max(among, key=lambda one: float(posterior.mean_G[one]))
    if standing is None or standing not in among or standing == row:
        return row
    with one_thread():
        chance = float(posterior.chance_of_beating(standing)[row])
    return standing if chance < _PROBABLY else row
