"""Configurations that aren't trained, as others with one of their values failed."""

from collections.abc import Sequence

import numpy as np

from histsearch.freeze_thaw.candidates import Candidates
from histsearch.freeze_thaw.trials import TrialView

_HOPELESS = 0.25  # chance of running: three trials with a value failed, and none ran


def hopeless(
    candidates: Candidates, views: Sequence[TrialView], failed: Sequence[int]
) -> list[int]:
    """Candidates that wouldn't run, as others with one of their values didn't.

    No epoch would ever tell the model so: what needs too much memory would stay unknown, and
    therefore worth a look, in every neighbour. None are, when none would be left.
    """
    if not failed:
        return []
    ran = [view.configuration for view in views if view.recalls]
    ran = [row for row in ran if row not in failed]
    unlikely = np.flatnonzero(candidates.chances_of_running(ran, failed) <= _HOPELESS)
    barred = np.setdiff1d(unlikely, [*ran, *failed])
    left = len(candidates.configurations) - len({*failed}) - len(barred)
    return barred.tolist() if left else []
