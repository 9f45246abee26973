"""What a report says first: two sentences a search."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from histsearch.reports.comparisons import FEWEST_SEEDS, Comparison, Verdict
from histsearch.reports.document.reported import LEGEND, Reported, part_text
from histsearch.reports.document.sections import Heading, Paragraph, Part, Section
from histsearch.reports.document.tables import percent
from histsearch.reports.report import Report, Retrained
from histsearch.studies.trial_record import BASELINE
from histsearch.wording import configuration_text, counted, shortened

_VERDICTS: Mapping[Verdict, Callable[[Comparison], str]] = {
    "better": lambda one: f"is better than {one.second}{_by(one)}",
    "worse": lambda one: f"is worse than {one.second}{_by(one)}",
    "equivalent": lambda one: (
        f"is equivalent to {one.second} within {counted(f'{100 * one.delta:g}', 'point')}{_by(one)}"
    ),
    "undecided": lambda one: (
        f"can't be told apart from {one.second}{_by(one)}: about "
        f"{counted(one.seeds_to_add or 1, 'more seed')} a side would tell"
    ),
    "too few seeds": lambda one: (
        f"has too few seeds for a verdict against {one.second}, as one takes {FEWEST_SEEDS} a side"
    ),
}


def _by(one: Comparison) -> str:
    found = one.difference
    if found is None or found.low is None or found.high is None:
        return ""
    mean, low, high = (100 * value for value in (found.mean, found.low, found.high))
    return f" ({mean:+.1f} points, 95% interval {low:+.1f} to {high:+.1f})"


def verdict_section(searches: Sequence[Reported]) -> Section:
    """What each search recommends, and what the test classes say of that."""
    parts: list[Part] = []
    for one in searches:
        if len(searches) > 1:
            parts.append(Heading(one.name))
        parts.append(Paragraph(f"{_of_search(one)} {_of_test(one.report)}"))
    if any(one.mark for one in searches):
        parts.append(Paragraph(LEGEND, is_warning=True))
    return Section("verdict", "Verdict", parts)


def _of_search(one: Reported) -> str:
    report, best = one.report, one.report.best
    if best is None:
        return _without_winner(report)
    images = report.images
    judge = "test" if report.on_test_classes else "validation"
    classes = f"the {judge} classes" if images is None else part_text(images.judge)
    name = report.winner_is_baseline
    baseline = "" if name is None else f', which is its baseline "{name}"'
    return (
        f"{_so_far(report)} recommends {configuration_text(best.parameters)}{baseline}: trial "
        f"{best.number}, {best}{one.mark}, on {classes}."
    )


def _so_far(report: Report) -> str:
    complete = counted(report.trials.get("COMPLETE", 0), "complete trial")
    if report.state == "finished":
        return f"After {complete} the search {report.study}"
    return f"The search {report.study}, {report.state} with {complete} of {report.budget} so far,"


def _without_winner(report: Report) -> str:
    failed, begun = report.trials.get("FAIL", 0), sum(report.trials.values())
    if failed and failed == begun:
        reason, _ = Counter(_reasons(report)).most_common(1)[0]
        return (
            f"The search {report.study} recommends nothing, as all of its "
            f"{counted(failed, 'trial')} failed: {shortened(reason)}."
        )
    return (
        f"The search {report.study} recommends nothing yet, as none of its {report.budget} trials "
        "is complete."
    )


def _reasons(report: Report) -> list[str]:
    return [failure.partition(": ")[2].rstrip(".") for failure in report.failures]


def _of_test(report: Report) -> str:
    """What the test classes say of the winner."""
    tuned = report.tested_winner
    if tuned is not None:
        interval = "" if tuned.score.half_width is None else " ± 95% interval"
        return (
            f"Retrained, it reaches {tuned.objective} {percent(tuned.score)} on the test classes "
            f"(percent, mean{interval} over {counted(tuned.score.n, 'seed')})"
            f"{_compared(report, tuned)}."
        )
    if report.best is None:
        return "Nothing was retrained, so nothing is known of the test classes."
    if report.unfinished_retrainings:
        return f"Its retraining, {report.unfinished_retrainings[0]}, has no figure of it yet."
    if report.retrained or report.failed_runs:
        return "No retraining has a figure of it on the test classes."
    return (
        f"It has not been tested: histsearch retrain {report.study} queues it for retraining on "
        "the full training half."
    )


def _compared(report: Report, tuned: Retrained) -> str:
    """What the winner is to the baselines that it was compared with."""
    against = {one.label for one in report.retrained if one.role == BASELINE}
    found = [
        one for one in report.comparisons if one.first == tuned.label and one.second in against
    ]
    if not found:
        return ", and was compared with no baseline"
    return " and " + ", and ".join(_VERDICTS[one.verdict](one) for one in found)
