"""The rules that a report shows are those of the documentation."""

import re
from pathlib import Path

import pytest

from histsearch.reports.claims import rules_section as shown
from histsearch.reports.claims.paper_claims import GRID_CLAIMS, LOSS_CLAIM, PaperClaim
from histsearch.reports.claims.rules import DELTA, FEWEST_RUNS
from histsearch.reports.published_claims import published_verdict

DOCS = Path(__file__).parents[4] / "docs" / "claims.md"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="needs the docs beside the tests")


def documented() -> str:
    """The page on one line, its links and emphasis as text."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", DOCS.read_text(encoding="utf-8"))
    return " ".join(text.replace("*", "").replace("(verdicts, ", "(").split())


@pytest.mark.parametrize(
    "text",
    [
        *(shown.IN_GENERAL, shown.DELTA, shown.TWO_PARTS, shown.LOSSES, shown.UNTESTABLE),
        *(shown.CONSISTENT[0], *shown.CONSISTENT[1]),
        *(shown.BETTER[0], *shown.BETTER[1]),
    ],
)
def test_the_report_shows_the_documented_rules(text: str) -> None:
    assert text in documented()


@pytest.mark.parametrize("claim", [*GRID_CLAIMS, LOSS_CLAIM], ids=lambda one: str(one.number))
def test_each_claim_has_its_documented_rule_and_the_papers_verdict(
    claim: PaperClaim,
) -> None:
    assert f"| {claim.rule} | {published_verdict(claim.number)} |" in documented()


def test_the_numbers_are_those_of_the_text() -> None:
    assert f"δ is {100 * DELTA:g} points" in shown.DELTA
    assert FEWEST_RUNS == 3
    assert "fewer than three runs" in shown.UNTESTABLE
