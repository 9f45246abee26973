"""The grids of the claims' report: which file of a folder holds which."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from histsearch.reports.claims.paper_claims import GRID_CLAIMS, GridClaim


@dataclass(frozen=True)
class GridFile:
    """A space that a claims' report knows by its file's name.

    Attributes:
        stem: The file's name without its suffix.
        place: Where the paper shows what it repeats.
        parameters: The parameters of its grid, in the order that points have.
        claim: The claim that is read off it; None for none.
    """

    stem: str
    place: str
    parameters: tuple[str, ...]
    claim: GridClaim | None = None

    @property
    def key(self) -> str:
        """Its place as part of a file's name, such as "figure2a"."""
        return self.place.lower().translate(str.maketrans("", "", " ()"))


_CLAIMS = {claim.number: claim for claim in GRID_CLAIMS}


def _of_claim(number: int, stem: str) -> GridFile:
    claim = _CLAIMS[number]
    return GridFile(stem, claim.place, claim.parameters, claim)


FIGURE_3A = GridFile(
    "figure3a-embedding_size-hgnn_hidden", "Figure 3(a)", ("embedding_size", "hgnn_hidden")
)
TABLE_4 = GridFile("table4-distance", "Table 4", ("distance",))

GRID_FILES: Mapping[str, GridFile] = MappingProxyType(
    {
        one.stem: one
        for one in (
            _of_claim(1, "claim1-batch_size"),
            _of_claim(2, "claim2-hgnn_layers"),
            _of_claim(3, "claim3-alpha"),
            _of_claim(4, "claim4-figure3b-tau-lambda_s"),
            FIGURE_3A,
            TABLE_4,
        )
    }
)
"""All of them by their files' names, those of the claims first."""
