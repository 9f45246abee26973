"""How sure a search by the small planner is of its winner."""

from collections.abc import Sequence

import numpy as np

from histsearch.freeze_thaw import certainty
from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.trials import TrialView
from tests.unit.freeze_thaw.small_planner import planner


def chance_of_overtaking(*trials: TrialView, winner: int = 12) -> float:
    one = planner()
    one.refit(trials)
    rng = np.random.default_rng(0)
    return certainty.chance_of_overtaking(
        one.model, trials, winner, delta=0.5, epsilon=0.05, rng=rng
    )


def is_decided(
    one: Planner, trials: list[TrialView], winner: int, delta: float, barred: Sequence[int] = ()
) -> bool:
    return (
        certainty.chance_of_better(
            one.model, trials, winner, delta, 0.05, np.random.default_rng(0), barred
        )
        < 0.05
    )
