"""A report as Markdown."""

from collections.abc import Mapping, Sequence

from histsearch.data.census import Part
from histsearch.reports.markdown_text import escape
from histsearch.reports.report import Gain, Report, Retrained
from histsearch.reports.statistics import Estimate
from histsearch.wording import value_text

_SEEDS_TO_ADD = 5


def render(report: Report) -> str:
    """The text of ``report.md``."""
    sections = [
        _heading(report),
        _best(report),
        _images(report),
        _retrained(report),
        _models(report),
        _published(report),
        _cost(report),
        _provenance(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def percent(value: Estimate) -> str:
    """An estimate of a fraction as "63.1 ± 0.8" percent."""
    spread = "" if value.half_width is None else f" ± {100 * value.half_width:.1f}"
    return f"{100 * value.mean:.1f}{spread}"


def gain_sentence(gain: Gain) -> str:
    """What the difference between the scores of tuned and baseline allows to say."""
    assert gain.low is not None
    assert gain.high is not None
    text = (
        f"Tuned minus baseline: {100 * gain.mean:+.1f} points of {gain.objective}, "
        f"95% interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}."
    )
    if gain.low > 0:
        return text + " The tuned configuration is better."
    if gain.high < 0:
        return text + " The baseline is better."
    return (
        f"{text} The interval holds 0: the two can't be told apart with these seeds; histsearch "
        f"retrain {gain.retraining} --add-seeds {_SEEDS_TO_ADD} adds some."
    )


def configuration_text(parameters: Mapping[str, object]) -> str:
    """Parameters on one line."""
    return ", ".join(f"{name} = {value_text(value)}" for name, value in parameters.items())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head, *body = (list(map(escape, line)) for line in (header, *rows))
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _heading(report: Report) -> str:
    counts = ", ".join(f"{number} {state.lower()}" for state, number in report.trials.items())
    warning = ""
    if report.on_test_classes:
        warning = (
            "\n\n> **Selected on the test classes.** The search chose its configuration by "
            f"{report.objective} on the classes it is tested on, as the paper did. Its figures are "
            "not a fair estimate of performance on new classes."
        )
    return (
        f"# {escape(report.study)}\n\n"
        f"Space `{report.space}`: {escape(report.dataset)} on {escape(report.backbone)}, loss "
        f"{escape(report.loss)}. "
        f"Trials: {counts}. "
        f"Objective: {report.objective}. Selection on: {report.selection}.{warning}"
    )


def _best(report: Report) -> str:
    best = report.best
    return (
        "## Best configuration\n\n"
        f"Trial {best.number}: {escape(configuration_text(best.parameters))}. {best}, on the "
        "classes it was selected on."
    )


def _images(report: Report) -> str:
    """How many images of each part there were, and what they can't tell."""
    parts = [f"- {escape(warning)}" for warning in report.warnings]
    warnings = "What these figures can't tell:\n\n" + "\n".join(parts) if parts else ""
    if report.images is None:
        return warnings
    table = _table(
        ["part", "classes", "images", "points that one is worth", "highest score"],
        [_images_row(part, report.images.remark_on(part)) for part in report.images.parts],
    )
    return "\n\n".join(section for section in ("## Images", table, warnings) if section)


def _images_row(part: Part, remark: str) -> list[str]:
    gallery = "" if part.gallery is None else f" queries, {part.gallery:,} in the gallery"
    counts = [f"{part.name}{remark}", f"{part.classes:,}", f"{part.images:,}{gallery}"]
    if part.name == "training":
        return [*counts, "", ""]
    return [*counts, f"{part.image_points:.3g}", part.highest_percent]


def _retrained(report: Report) -> str:
    title = "## On the test classes"
    status = _retraining_status(report)
    if not report.retrained:
        return "\n\n".join([title, *status])
    # Runs of an earlier version have fewer.
    labels = list(dict.fromkeys(label for one in report.retrained for label in one.figures))
    rows = [_retrained_row(one, labels) for one in report.retrained]
    configurations = [
        f"- {escape(one.label)}: {escape(configuration_text(one.parameters))}"
        for one in report.retrained
    ]
    parts = [
        title,
        "Retrained on the full training half; mean ± 95% interval over seeds, in percent. "
        "Numbers are trials of the search.",
        "\n".join(configurations),
        _table(["configuration", "epochs", "seeds", *labels], rows),
    ]
    if report.gain_over_baseline is not None:
        parts.append(gain_sentence(report.gain_over_baseline))
    return "\n\n".join([*parts, *status])


def _retraining_status(report: Report) -> list[str]:
    """What the figures lack: runs to come, runs that failed, lengths that are in doubt."""
    status = [f"> **Warning.** {escape(warning)}." for warning in report.retraining_warnings]
    if report.unfinished_retrainings:
        status.append(f"Still running: {', '.join(map(escape, report.unfinished_retrainings))}.")
    status += [f"Left out: {escape(half)}." for half in report.half_created_retrainings]
    if report.failed_runs:
        status.append(
            "Runs without a figure:\n\n" + "\n".join(f"- {escape(r)}" for r in report.failed_runs)
        )
    if not (report.retrained or report.unfinished_retrainings or report.failed_runs):
        status.append(f"Not retrained yet: `histsearch retrain {report.study}`, then workers.")
    return status


def _retrained_row(one: Retrained, labels: Sequence[str]) -> list[str]:
    figures = one.figures
    cells = [percent(figures[label]) if label in figures else "" for label in labels]
    return [one.label, str(one.epochs), str(len(one.scores)), *cells]


def _models(report: Report) -> str:
    if not report.models:
        return ""
    lines = "\n".join(f"- {escape(str(model))}" for model in report.models)
    return (
        "## Models\n\n"
        "Each run's, for `histsearch evaluate --checkpoint STUDY/NUMBER` and `histsearch export "
        f"STUDY/NUMBER`.\n\n{lines}"
    )


def _published(report: Report) -> str:
    if not report.published:
        return ""
    columns = list(next(iter(report.published.values())))
    rows = [
        [row, *(f"{figures[column]:.1f}" for column in columns)]
        for row, figures in report.published.items()
    ]
    return f"## Published results of HIST\n\n{report.published_source}, in percent.\n\n" + _table(
        ["row", *columns], rows
    )


def _cost(report: Report) -> str:
    search = report.search_cost
    lines = [
        f"Search: {search.amount(search.hours_spent)} spent, "
        f"{search.hours_saved:.3g} saved by pruning.",
    ]
    if report.retraining_cost is not None:
        retraining = report.retraining_cost
        lines.append(f"Retraining: {retraining.amount(retraining.hours_spent)}.")
    if report.slots > 1:
        lines.append(
            f"Trials ran on up to {report.slots} slots of a device, where a second on one of N "
            "counts 1/N."
        )
    return "## Cost\n\n" + " ".join(lines)


def _provenance(report: Report) -> str:
    lines = [
        f"- {name}: {'; '.join(escape(_answer_text(answer)) for answer in answers)}"
        for name, answers in report.provenance.items()
    ]
    return "## Made with\n\n" + "\n".join(lines)


def _answer_text(answer: object) -> str:
    if isinstance(answer, Mapping):
        return ", ".join(f"{name} {version}" for name, version in answer.items())
    return "not recorded" if answer is None else str(answer)
