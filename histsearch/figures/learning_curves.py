"""The learning curves of a search's trials."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.score_axis import PERCENT, ScoreAxis
from histsearch.figures.searched_study import SearchedStudy, SearchedTrial
from histsearch.wording import counted

_NAME = "learning-curves"
_MOST_LABELS = 3
_ALONE = 14.0  # square points that a dot without a curve is larger
_FEW = 80  # curves: of more, each is fainter


@look.our_look
def learning_curves(search: SearchedStudy) -> Drawn | Missing:
    """Score by epoch: complete trials strong, unfinished ones faded, the winner's marked."""
    title = f"Learning curves: {search.objective} by epoch"
    trials = [trial for trial in search.trials if trial.curve]
    if not trials:
        return Missing(_NAME, title, search.no_score() or "No trial has reported an epoch.")
    if max(len(trial.curve) for trial in trials) < 2:
        return Missing(_NAME, title, "Every trial has one epoch, which is no curve.")
    winners = [trial for trial in trials if search.is_winners(trial)]
    others = [trial for trial in trials if not search.is_winners(trial)]
    complete = [trial for trial in others if trial.is_complete]
    unfinished = [trial for trial in others if not trial.is_complete]
    figure = look.new_figure(3.4)
    axes = figure.subplots()
    axis = ScoreAxis([score for trial in trials for score in trial.curve.values()])
    axis.apply(axes, search.score_label)
    longest = max(max(trial.curve) for trial in trials)
    axes.set_xlim(min(min(trial.curve) for trial in trials) - 0.02 * longest, longest * 1.04)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _draw(axes, unfinished, "paused, pruned, running or failed", look.FADED, 0.7)
    _draw(axes, complete, "complete", look.STRONG, 1.0)
    _draw(axes, winners, "the winner's", look.ACCENT, 2.2, opacity=1.0)
    for trial in [trial for trial in winners if trial.is_complete][:_MOST_LABELS]:
        _label(axes, trial)
    look.key(axes)
    look.note(figure, axis.far_note([min(trial.curve.values()) for trial in trials]))
    return Drawn(_NAME, title, _alt(search, trials, complete, winners), figure)


def _draw(
    axes: Axes,
    trials: Sequence[SearchedTrial],
    label: str,
    color: str,
    width: float,
    opacity: float = 0.75,
) -> None:
    """Draw curves, each with a dot where it ends."""
    if not trials:
        return
    curves = [_points(trial) for trial in trials]
    opacity *= min(1.0, max(_FEW / len(trials), 0.15))
    axes.add_collection(
        LineCollection(
            curves,
            colors=color,
            linewidths=width,
            alpha=opacity,
            label=f"{label} ({len(trials):,})",
            rasterized=len(trials) > look.MANY,
        ),
        autolim=False,
    )
    ends = [curve[-1] for curve in curves if len(curve) > 1]
    look.scatter(axes, ends, 5 * width, color=color, alpha=opacity)
    # Of one epoch the dot is all there is to see.
    alone = [curve[0] for curve in curves if len(curve) == 1]
    look.scatter(axes, alone, _ALONE + 5 * width, color=color, alpha=opacity)


def _points(trial: SearchedTrial) -> list[tuple[float, float]]:
    return [(float(epoch), PERCENT * score) for epoch, score in trial.curve.items()]


def _label(axes: Axes, trial: SearchedTrial) -> None:
    axes.annotate(
        f"#{trial.number}",
        _points(trial)[-1],
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=look.ACCENT,
        fontsize=look.SMALL,
        fontweight="bold",
        annotation_clip=False,
    )


def _alt(
    search: SearchedStudy,
    trials: Sequence[SearchedTrial],
    complete: Sequence[SearchedTrial],
    winners: Sequence[SearchedTrial],
) -> str:
    whole = len(complete) + sum(trial.is_complete for trial in winners)
    text = (
        f"{search.objective} on {search.scored_on} after each epoch of "
        f"{counted(len(trials), 'trial')}, {whole:,} of them complete and "
        f"{len(trials) - whole:,} left earlier."
    )
    if not winners:
        return text
    best = max(winners, key=lambda trial: max(trial.curve.values()))
    last = list(best.curve.values())
    return (
        f"{text} The winner's trial #{best.number} rises from {last[0]:.1%} to {max(last):.1%} "
        f"in {counted(len(last), 'epoch')}."
    )
