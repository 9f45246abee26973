"""What a search's model thinks at one moment, in the few facts that people ask for later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Self

from histsearch.freeze_thaw.trials import Configuration

if TYPE_CHECKING:
    from histsearch.freeze_thaw.search import FreezeThawSearch

_MOST = 5


@dataclass(frozen=True)
class Standing:
    """How the configurations of a search stand.

    Attributes:
        configurations: The winner first, then those with the highest expected score: a few that ran
            to their ends, and a few others, which may do so yet.
        unseen: Spans of values that neither ran nor one near them; as `FreezeThawSearch.unseen`.
        fold_effects: As `StudyPosterior.fold_effects`; empty where there is one fold.
    """

    configurations: Sequence[Configuration]
    unseen: Mapping[str, Sequence[Sequence[Any]]]
    fold_effects: Sequence[float]

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
        )

    def to_json(self) -> dict[str, Any]:
        """As it is kept with a study."""
        return {
            "configurations": list(self.configurations),
            "unseen": self.unseen,
            "fold_effects": list(self.fold_effects),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """As `to_json` wrote it."""
        return cls(kept["configurations"], kept["unseen"], kept["fold_effects"])


def fold_effects(search: "FreezeThawSearch") -> list[float]:
    """What each fold adds to R@1 at the last epoch, in points, less the mean of all folds."""
    effects_F = search.planner.posterior(search.views).fold_effects()
    return [float(effect) for effect in effects_F]
