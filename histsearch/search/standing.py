"""What a search's model thinks at one moment, in the few facts that people ask for later."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from histsearch.freeze_thaw.trials import Configuration
from histsearch.search.freeze_thaw_trials import PERCENT

if TYPE_CHECKING:
    from histsearch.freeze_thaw.search import FreezeThawSearch

_MOST = 5
_SEED = 0
_QUANTILE = 1.96  # of the normal distribution: the end of a 95% interval


@dataclass(frozen=True)
class StoredLeader:
    """The configuration with the highest expected score, of those that ran.

    Attributes:
        configuration: It.
        score: What is expected of it at the last epoch, the mean over seeds and folds, in [0, 1].
        low: Lower end of the score's 95% interval.
        high: Upper end.
        highest: The highest score that one of its trials had after an epoch, in [0, 1].
        epochs: Epochs that its trials have reported.
        trials: How many trials these are.
        scatter: Half the width of the interval about the mean over seeds that holds 95% of single
            runs at the last epoch, in [0, 1]; None where an earlier version stored this.
    """

    configuration: Configuration
    score: float
    low: float
    high: float
    highest: float
    epochs: int
    trials: int
    scatter: float | None = None


@dataclass(frozen=True)
class Share:
    """What part of the variance of the expected score over the space a parameter or a pair has.

    Attributes:
        parameters: The parameter's name, or the two of a pair.
        share: Mean over the model's posterior, in [0, 1].
        low: Lower end of the 95% interval.
        high: Upper end.
    """

    parameters: Sequence[str]
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """How the configurations of a search stand.

    Attributes:
        configurations: The winner first, then those with the highest expected score: a few that ran
            to their ends, and a few others, which may do so yet.
        unseen: Spans of values that neither ran nor one near them; as `FreezeThawSearch.unseen`.
        fold_effects: As `StudyPosterior.fold_effects`; empty where there is one fold.
        leader: The leader; None where all that ran failed later, or an earlier version stored this.
        shares: How much each parameter matters, the most important first, then the pairs that
            matter most; empty while few configurations ran, and where an earlier version stored
            this.
    """

    configurations: Sequence[Configuration]
    unseen: Mapping[str, Sequence[Sequence[Any]]]
    fold_effects: Sequence[float]
    leader: StoredLeader | None = None
    shares: Sequence[Share] = ()

    @classmethod
    def of(cls, search: "FreezeThawSearch", winner: Configuration) -> Self:
        """How a search stands.

        Args:
            search: The search, of which a trial has reported an epoch.
            winner: Its winner.
        """
        mean_G = search.planner.posterior(search.views).mean_G
        ran = {view.configuration for view in search.views if view.recalls}
        epochs = search.planner.model.epochs
        whole = {view.configuration for view in search.views if len(view.recalls) == epochs}
        expected = {row: float(mean_G[row]) for row in ran.difference(search.ruled_out)}
        best = {
            row
            for among in (expected.keys() & whole, expected.keys() - whole)
            for row in nlargest(_MOST, among, key=lambda row: expected[row])
        }
        ranked = [
            search.candidates.configurations[row]
            for row in sorted(best, key=lambda row: -expected[row])
        ]
        return cls(
            [winner, *(one for one in ranked if one != winner)],
            search.unseen(),
            fold_effects(search),
            _leader(search, max(sorted(expected), key=expected.__getitem__, default=None)),
            _shares(search),
        )

    def to_json(self) -> dict[str, Any]:
        """As it is kept with a study."""
        return {
            "configurations": list(self.configurations),
            "unseen": self.unseen,
            "fold_effects": list(self.fold_effects),
            "leader": self.leader and asdict(self.leader),
            "shares": [asdict(one) for one in self.shares],
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """As `to_json` wrote it."""
        leader = kept.get("leader")
        return cls(
            kept["configurations"],
            kept["unseen"],
            kept["fold_effects"],
            None if leader is None else StoredLeader(**leader),
            [Share(**one) for one in kept.get("shares", ())],
        )


def _leader(search: "FreezeThawSearch", row: int | None) -> StoredLeader | None:
    if row is None:
        return None
    mean_T, covariance_TT = search.planner.posterior(search.views).curve(row)
    score, half = float(mean_T[-1]), _QUANTILE * float(covariance_TT[-1, -1]) ** 0.5
    own = [view for view in search.views if view.recalls and view.configuration == row]
    return StoredLeader(
        search.candidates.configurations[row],
        score=_fraction(score),
        low=_fraction(score - half),
        high=_fraction(score + half),
        highest=_fraction(max(max(view.recalls) for view in own)),
        epochs=sum(len(view.recalls) for view in own),
        trials=len(own),
        scatter=_fraction(_QUANTILE * search.planner.model.seed_effects().scatter),
    )


def _shares(search: "FreezeThawSearch") -> list[Share]:
    names = search.candidates.space.names
    found = [
        Share([names[which] for which in one.parameters], one.share, one.low, one.high)
        for one in search.variance_shares(np.random.default_rng(_SEED))
    ]
    found.sort(key=lambda one: -one.share)
    pairs = [one for one in found if len(one.parameters) == 2]
    return [*(one for one in found if len(one.parameters) == 1), *pairs[:_MOST]]


def _fraction(percent: float) -> float:
    """A score of the model, which knows no bounds, in [0, 1]."""
    return min(max(percent / PERCENT, 0.0), 1.0)


def fold_effects(search: "FreezeThawSearch") -> list[float]:
    """What each fold adds to R@1 at the last epoch, in points, less the mean of all folds."""
    effects_F = search.planner.posterior(search.views).fold_effects()
    return [float(effect) for effect in effects_F]
