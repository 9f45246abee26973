"""What a report says first: two sentences a search."""

from collections import Counter
from collections.abc import Sequence

from histsearch.reports.document.reported import LEGEND, Reported
from histsearch.reports.document.sections import Heading, Paragraph, Part, Section
from histsearch.reports.document.tables import percent
from histsearch.reports.report import Report, Retrained, WinningTrial
from histsearch.wording import configuration_text, counted


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
    classes = f"the {judge} classes" if images is None else str(images.judge)
    return (
        f"{_so_far(report)} recommends {configuration_text(best.parameters)}: trial {best.number}, "
        f"{best}{one.mark}, on {classes}."
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
            f"{counted(failed, 'trial')} failed: {reason}."
        )
    return (
        f"The search {report.study} recommends nothing yet, as none of its {report.budget} trials "
        "is complete."
    )


def _reasons(report: Report) -> list[str]:
    return [failure.partition(": ")[2].rstrip(".") for failure in report.failures]


def _of_test(report: Report) -> str:
    """What the test classes say of the winner."""
    best = report.best
    tuned = None if best is None else _retrained(report, best)
    if best is None:
        return "Nothing was retrained, so nothing is known of the test classes."
    if tuned is not None:
        return (
            f"Retrained, it reaches {tuned.objective} {percent(tuned.score)} on the test classes "
            f"(mean{_interval(tuned)} over {counted(tuned.score.n, 'seed')}, in percent)."
        )
    if report.unfinished_retrainings:
        return f"Its retraining, {report.unfinished_retrainings[0]}, has no figure of it yet."
    if report.retrained or report.failed_runs:
        return "No retraining has a figure of it on the test classes."
    return (
        f"It has not been tested: histsearch retrain {report.study} queues it for retraining on "
        "the full training half."
    )


def _interval(tuned: Retrained) -> str:
    return "" if tuned.score.half_width is None else " ± 95% interval"


def _retrained(report: Report, best: WinningTrial) -> Retrained | None:
    """The winner as it was retrained."""
    return next((one for one in report.retrained if one.source_trial == best.number), None)
