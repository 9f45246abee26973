"""What a claims' report is made of: the grids' studies, and the verdict on each claim."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.reports.claims.claim_studies import study_of
from histsearch.reports.claims.folder import ClaimsFolder
from histsearch.reports.claims.grid_files import GRID_FILES, GridFile
from histsearch.reports.claims.grid_study import GridStudy, grid_study
from histsearch.reports.claims.loss_claim import LossComparison, compare_losses, judge_losses
from histsearch.reports.claims.paper_claims import GRID_CLAIMS, LOSS_CLAIM, GridClaim, PaperClaim
from histsearch.reports.claims.rules import Finding, longest_consistent_ranges
from histsearch.reports.claims.symbols import symbol
from histsearch.reports.published_claims import published_verdict
from histsearch.wording import value_text


@dataclass(frozen=True)
class MissingGrid:
    """A grid that has no study.

    Attributes:
        file: The file that it belongs to.
        reason: Why there is none, and what to do about it: a sentence.
        is_refused: Whether there is a study of that name, which can't be read as the grid's.
    """

    file: GridFile
    reason: str
    is_refused: bool = False


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with what the runs say of it.

    Attributes:
        claim: The claim.
        finding: The verdict, the figures that decide and all that was tested.
        published: The paper's verdict.
        is_provisional: Whether runs that it reads are still to come.
        consistent: Over which neighbouring values R@1 is consistent, without a verdict; empty
            where no grid was measured.
    """

    claim: PaperClaim
    finding: Finding
    published: str
    is_provisional: bool = False
    consistent: str = ""


@dataclass(frozen=True)
class ClaimsReport:
    """A claims' report before it is written.

    Attributes:
        folder: The folder of spaces.
        grids: Of each file the study of its grid, or why there is none.
        claims: The five claims, by number.
        losses: The comparisons that claim 5 reads.
    """

    folder: ClaimsFolder
    grids: Mapping[str, GridStudy | MissingGrid]
    claims: Sequence[JudgedClaim]
    losses: Sequence[LossComparison]

    @property
    def studies(self) -> list[GridStudy]:
        """The studies that are there."""
        return [one for one in self.grids.values() if isinstance(one, GridStudy)]


def build_claims_report(storage: Storage, folder: ClaimsFolder) -> ClaimsReport:
    """Read what is there of a folder's studies, and judge the claims by it."""
    grids = {stem: _grid(storage, folder, file) for stem, file in GRID_FILES.items()}
    losses = compare_losses(storage, folder.name)
    by_number = {one.file.claim.number: one for one in grids.values() if one.file.claim}
    judged = [_judged(claim, by_number[claim.number]) for claim in GRID_CLAIMS]
    number = LOSS_CLAIM.number
    last = JudgedClaim(
        LOSS_CLAIM,
        judge_losses(losses),
        published_verdict(number),
        is_provisional=any(one.comparison and one.comparison.runs_to_come for one in losses),
    )
    return ClaimsReport(folder, grids, [*judged, last], losses)


def _grid(storage: Storage, folder: ClaimsFolder, file: GridFile) -> GridStudy | MissingGrid:
    space = folder.spaces.get(file.stem)
    if space is None:
        return MissingGrid(file, f"the folder {folder.name} holds no {file.stem}.toml.")
    try:
        study = study_of(storage, space)
    except StudyError as error:
        return MissingGrid(file, f"{error}.", is_refused=True)
    if study is None:
        return MissingGrid(
            file,
            f'there is no study "{space.name}" yet; histsearch claims {shlex.quote(folder.name)} '
            "with --run creates and trains it.",
        )
    return grid_study(study, file)


def _judged(claim: GridClaim, grid: GridStudy | MissingGrid) -> JudgedClaim:
    published = published_verdict(claim.number)
    if isinstance(grid, MissingGrid):
        sentence = "Nothing was run yet."
        if grid.is_refused:
            sentence = f"Its study isn't read: {grid.reason}"
        return JudgedClaim(claim, Finding("undecided", sentence), published)
    finding = claim.judge(grid.scores)
    return JudgedClaim(
        claim,
        replace(finding, sentence=f"{finding.sentence} {grid.scores.remark}".rstrip()),
        published,
        is_provisional=grid.scores.to_come > 0,
        consistent=_consistent(claim, grid),
    )


def _consistent(claim: GridClaim, grid: GridStudy) -> str:
    """Over which neighbouring values of its rule R@1 is shown consistent: a sentence a group."""
    sentences = []
    for group in claim.ranges:
        samples = [grid.scores.sample(point) for point in group]
        ranges = longest_consistent_ranges(samples)
        values = [value_text(point[-1]) for point in group]
        fixed = zip(claim.parameters[:-1], group[0][:-1], strict=True)
        where = "".join(f"At {symbol(name)} {value_text(value)}, " for name, value in fixed)
        words = [_range_text(values, *found) for found in ranges]
        told = "no two neighbours are shown to be consistent"
        if words:
            told = f"consistent {' and '.join(words)}"
        sentence = f"{where}{symbol(claim.parameters[-1])}: {told}."
        sentences.append(sentence)
    return " ".join(sentences)


def _range_text(values: Sequence[str], first: int, last: int) -> str:
    if (first, last) == (0, len(values) - 1):
        return "over all values"
    if last == len(values) - 1:
        return f"from {values[first]} on"
    if first == 0:
        return f"up to {values[last]}"
    return f"from {values[first]} to {values[last]}"
