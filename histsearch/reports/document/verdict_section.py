"""What a report says first: of searches tuned alike who is better, then two sentences each."""

from collections import Counter
from collections.abc import Callable, Mapping

from histsearch.reports.comparisons import FEWEST_SEEDS, Comparison, Verdict, p_text
from histsearch.reports.document.gathered import Gathered
from histsearch.reports.document.reported import LEGEND, MARK, Reported, part_text
from histsearch.reports.document.sections import Heading, Paragraph, Part, Section
from histsearch.reports.document.tables import percent
from histsearch.reports.report import Report
from histsearch.studies.retraining_seeds import MOST_SEEDS
from histsearch.studies.trial_record import BASELINE
from histsearch.wording import configuration_text, counted, shortened

_VERDICTS: Mapping[Verdict, Callable[[Comparison], str]] = {
    "better": lambda one: f"is better than {_against(one)}{_by(one, one.p_difference)}",
    "worse": lambda one: f"is worse than {_against(one)}{_by(one, one.p_difference)}",
    "equivalent": lambda one: (
        f"is equivalent to {_against(one)} within {counted(f'{100 * one.delta:g}', 'point')}"
        f"{_by(one, one.p_equivalence)}"
    ),
    "undecided": lambda one: (
        f"can't be told apart from {_against(one)}{_by(one, one.p_difference)}: {_to_come(one)}"
    ),
    "no variation": lambda one: (
        f"gets no verdict against {_against(one)}, as the scores don't vary over seeds"
    ),
    "too few seeds": lambda one: (
        f"has too few seeds for a verdict against {_against(one)}, as one takes {FEWEST_SEEDS} a "
        f"side{_still(one)}"
    ),
}


def _against(one: Comparison) -> str:
    return one.second + (MARK if one.on_test_classes else "")


def _by(one: Comparison, p_value: float | None) -> str:
    """The difference with its interval, and by which p-value the verdict is."""
    found = one.difference
    if found is None or found.low is None or found.high is None or p_value is None:
        return ""
    mean, low, high = (100 * value for value in (found.mean, found.low, found.high))
    return (
        f" ({mean:+.1f} points, 95% interval {low:+.1f} to {high:+.1f}; "
        f"{p_text(p_value, one.tests)})"
    )


def _to_come(one: Comparison) -> str:
    """What would tell two sides apart."""
    if not one.seeds_to_add:
        return f"{counted(one.runs_to_come, 'run')} still to come may tell"
    if one.seeds_to_add >= MOST_SEEDS:
        return f"{MOST_SEEDS:,} or more further seeds a side would tell{_still(one)}"
    return f"about {counted(one.seeds_to_add, 'more seed')} a side would tell{_still(one)}"


def _still(one: Comparison) -> str:
    return f", {counted(one.runs_to_come, 'run')} still to come" if one.runs_to_come else ""


def verdict_section(gathered: Gathered) -> Section:
    """Who is better than whom, what each search recommends, and what the test classes say of it."""
    searches = gathered.searches
    parts: list[Part] = [Paragraph(" ".join(one.sentences)) for one in gathered.rankings]
    for one in searches:
        if len(searches) > 1:
            parts.append(Heading(one.name))
        parts.append(Paragraph(f"{_of_search(one)} {_of_test(one)}"))
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
    names = " and ".join(f'"{name}"' for name in report.baselines_of_winner)
    baseline = f", which is its baseline {names}" if names else ""
    return (
        f"{_so_far(report)} recommends {configuration_text(best.parameters)}{baseline}: trial "
        f"{best.number}, {best}{one.mark}{_expected(report)}, on {classes}."
    )


def _expected(report: Report) -> str:
    """What the model expects of the winner, beside the highest of its many scores."""
    best, leader = report.best, report.leader
    if best is None or leader is None or leader.low is None or leader.high is None:
        return ""
    if leader.parameters != best.parameters:
        return ""
    return (
        f", the highest of many scores (expected over seeds {leader.score:.1%}, 95% interval "
        f"{leader.low:.1%} to {leader.high:.1%})"
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


def _of_test(one: Reported) -> str:
    """What the test classes say of the winner."""
    report, tuned = one.report, one.report.tested_winner
    if tuned is not None:
        interval = "" if tuned.score.half_width is None else " ± 95% interval"
        return (
            f"Retrained, it reaches {tuned.objective} {percent(tuned.score)}{one.mark} on the test "
            f"classes (percent, mean{interval} over {counted(tuned.score.n, 'seed')})"
            f"{_compared(report)}."
        )
    if report.best is None:
        return "Nothing was retrained, so nothing is known of the test classes."
    if report.unfinished_retrainings:
        return (
            f"It has not been tested yet: its retraining, {report.unfinished_retrainings[0]}, goes "
            "on."
        )
    if report.retrained or report.failed_runs:
        return "No run of a retraining has tested it."
    return (
        f"It has not been tested: histsearch retrain {report.study} queues it for retraining on "
        "the full training half."
    )


def _compared(report: Report) -> str:
    """What the winner is to the baselines that it was compared with, in any retraining."""
    winners = {one.label for one in report.tested_winners}
    against = {one.label for one in report.retrained if one.role == BASELINE}
    found = [one for one in report.comparisons if one.first in winners and one.second in against]
    if not found:
        return ", and was compared with no baseline"
    return " and " + ", and ".join(_VERDICTS[one.verdict](one) for one in found)
