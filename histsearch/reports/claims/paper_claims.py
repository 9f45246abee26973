"""The five claims of HIST that Yuan & Le-Phuoc (2023) tested, each with its rule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from histsearch.reports.claims.grid_scores import GridPoint, GridScores
from histsearch.reports.claims.rules import (
    Average,
    Finding,
    Sample,
    better,
    consistent,
    together,
    untestable,
)


@dataclass(frozen=True)
class PaperClaim:
    """A claim of the paper.

    Attributes:
        number: Its number there.
        statement: What it says.
        place: Where the paper shows it.
        rule: Where it is supported, in short.
    """

    number: int
    statement: str
    place: str
    rule: str


class _Part(Protocol):
    """A part of a claim's rule."""

    @property
    def points(self) -> Sequence[GridPoint]:
        """The points that it reads."""

    def judge(self, sample: Callable[[GridPoint], Sample]) -> Finding:
        """What the scores say of it."""


@dataclass(frozen=True)
class Consistency:
    """R@1 is consistent over the points of each group.

    Attributes:
        groups: Points, in the order of their values.
    """

    groups: Sequence[Sequence[GridPoint]]

    @property
    def points(self) -> Sequence[GridPoint]:
        """The points that it reads."""
        return [point for group in self.groups for point in group]

    def judge(self, sample: Callable[[GridPoint], Sample]) -> Finding:
        """What the scores say of it."""
        return consistent([[sample(point) for point in group] for group in self.groups])


@dataclass(frozen=True)
class Gain:
    """R@1 is better on average over some points than over others.

    Attributes:
        first: The points that are to be better.
        first_label: Their name.
        second: The points that they are to be better than.
        second_label: Their name.
    """

    first: Sequence[GridPoint]
    first_label: str
    second: Sequence[GridPoint]
    second_label: str

    @property
    def points(self) -> Sequence[GridPoint]:
        """The points that it reads."""
        return [*self.first, *self.second]

    def judge(self, sample: Callable[[GridPoint], Sample]) -> Finding:
        """What the scores say of it."""
        return better(
            Average(self.first_label, [sample(point) for point in self.first]),
            Average(self.second_label, [sample(point) for point in self.second]),
        )


@dataclass(frozen=True)
class GridClaim(PaperClaim):
    """A claim that is read off the scores of a grid.

    Attributes:
        parameters: Those of the grid, in the order of its points.
        parts: Of its rule; all must hold.
    """

    parameters: tuple[str, ...]
    parts: Sequence[_Part]

    @property
    def points(self) -> Sequence[GridPoint]:
        """The points that its rule reads, each once."""
        return list(dict.fromkeys(point for part in self.parts for point in part.points))

    @property
    def ranges(self) -> Sequence[Sequence[GridPoint]]:
        """The points whose consistency its rule asks for, each group by its values."""
        return [
            group for part in self.parts if isinstance(part, Consistency) for group in part.groups
        ]

    def judge(self, scores: GridScores) -> Finding:
        """What the scores of its grid say of it."""
        lacks = untestable([scores.sample(point) for point in self.points])
        if lacks:
            return Finding("undecided", lacks)
        return together([part.judge(scores.sample) for part in self.parts])


def _along(values: Sequence[float]) -> list[GridPoint]:
    return [(value,) for value in values]


_BATCH_SIZES = (8, 16, 32, 64, 128)
_LAYERS = (1, 2, 3, 4, 5)
_POSITIVE_ALPHAS = (0.3, 0.6, 0.9, 1.2, 1.5)
_LARGE_TAUS = (24, 32)
_LAMBDAS = (0.6, 1.0, 1.5, 2.0)

GRID_CLAIMS = (
    GridClaim(
        number=1,
        statement="HIST is consistent regardless of the batch size",
        place="Figure 2(a)",
        rule="R@1 is consistent over Nb 8, 16, 32, 64, 128",
        parameters=("batch_size",),
        parts=(Consistency([_along(_BATCH_SIZES)]),),
    ),
    GridClaim(
        number=2,
        statement="HIST is consistent regardless of the number of HGNN layers",
        place="Figure 2(b)",
        rule="R@1 is consistent over L 1 to 5",
        parameters=("hgnn_layers",),
        parts=(Consistency([_along(_LAYERS)]),),
    ),
    GridClaim(
        number=3,
        statement="A positive α contributes reliably",
        place="Figure 2(c)",
        rule="R@1 is consistent over α 0.3, 0.6, 0.9, 1.2, 1.5, and better there than at α 0",
        parameters=("alpha",),
        parts=(
            Consistency([_along(_POSITIVE_ALPHAS)]),
            Gain(_along(_POSITIVE_ALPHAS), "α 0.3 to 1.5", _along((0.0,)), "α 0"),
        ),
    ),
    GridClaim(
        number=4,
        statement="A large τ is effective, and λs hardly matters where τ > 16",
        place="Figure 3(b)",
        rule="R@1 is better at τ 24 and 32 than at τ 8, and at each of τ 24 and 32 consistent over "
        "λs 0.6, 1, 1.5, 2",
        parameters=("tau", "lambda_s"),
        parts=(
            Gain(
                [(tau, lambda_s) for tau in _LARGE_TAUS for lambda_s in _LAMBDAS],
                "τ 24 and 32",
                [(8, lambda_s) for lambda_s in _LAMBDAS],
                "τ 8",
            ),
            Consistency([[(tau, lambda_s) for lambda_s in _LAMBDAS] for tau in _LARGE_TAUS]),
        ),
    ),
)
"""Claims 1 to 4."""

LOSS_CLAIM = PaperClaim(
    number=5,
    statement="HIST is state of the art",
    place="Table 3",
    rule="the tuned HIST is better than the tuned Proxy-Anchor in one comparison, and better or "
    "equivalent in the others",
)
"""Claim 5, which is read off comparisons of losses."""
