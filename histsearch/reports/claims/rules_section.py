"""The rules in full, and the commands that make the report again."""

import shlex
from collections.abc import Sequence

from histsearch.reports.claims.claims_report import ClaimsReport
from histsearch.reports.document.sections import Bullets, Heading, Listing, Paragraph, Section

IN_GENERAL = (
    "They were fixed before any of the runs, and hold for both versions. A score is a run's "
    "highest R@1 on the test classes, as in the paper. Scores are averaged over seeds, and "
    "averages compared by Welch's method: the variance of each point is its own, and the degrees "
    "of freedom are Satterthwaite's. Each test is at 5%."
)
DELTA = (
    "δ is 2 points of R@1. The paper calls a loss of 3 points significant (claim 2) and gains of "
    "0.4 and 0.7 an improvement; what differs by less than 2 is consistent here."
)
CONSISTENT = (
    "Consistent over some values means that every two of them differ by less than δ.",
    (
        "Supported: for every two values, two one-sided tests show a difference below δ. All of "
        "them must, so the tests need no correction.",
        "Not supported: for some two values, a one-sided test shows a difference above δ, after "
        "Holm's correction over all pairs of the claim.",
        "Undecided otherwise.",
    ),
)
BETTER = (
    "Better means a higher average over one group of values than over another.",
    (
        "Supported: a two-sided test shows a difference, and it is a gain.",
        "Not supported: otherwise, where a one-sided test shows that the gain is below δ.",
        "Undecided otherwise.",
    ),
)
TWO_PARTS = (
    "A claim with two parts is supported where both are, not supported where one isn't, and else "
    "undecided."
)
LOSSES = (
    "Claim 5 reads the comparisons of losses and the searches on photographs, whose verdicts are "
    "those of their reports (equivalence within 0.5 points, Holm's correction over the pairs). It "
    "is not supported where HIST is worse in one, or equivalent in all, and undecided otherwise."
)
UNTESTABLE = (
    "Each claim has its 5%; nothing is corrected over the five. A point whose scores don't vary "
    "over seeds, or that has fewer than three runs, leaves its claim undecided."
)


def rules_section(report: ClaimsReport) -> Section:
    """The rules in full, and the commands that make the report again."""
    return Section(
        "rules",
        "The rules, and the commands",
        [
            Paragraph(IN_GENERAL),
            Paragraph(DELTA),
            Heading("Consistent"),
            Paragraph(CONSISTENT[0]),
            Bullets(CONSISTENT[1]),
            Heading("Better"),
            Paragraph(BETTER[0]),
            Bullets(BETTER[1]),
            Heading("Claims"),
            Paragraph(TWO_PARTS),
            Bullets([f"Claim {one.claim.number}: {one.claim.rule}." for one in report.claims]),
            Paragraph(LOSSES),
            Paragraph(UNTESTABLE),
            Listing("The commands that make this report", "\n".join(_commands(report))),
        ],
    )


def _commands(report: ClaimsReport) -> Sequence[str]:
    on_gpu = any(one.cost.accelerated for one in report.studies) or not report.studies
    device = ("--gpu", "all") if on_gpu else ("--device", "cpu")
    folder = report.folder.name
    make = ("histsearch", "claims", folder, "--out", "claims-report")
    return [shlex.join([*make, "--run", *device]), shlex.join(make)]
