"""The scores of a search's trials, in the order in which they ran."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.score_axis import ScoreAxis
from histsearch.figures.searched_study import SearchedStudy, SearchedTrial
from histsearch.wording import counted

Against = Literal["trials", "hours"]

_LAST = datetime.max.replace(tzinfo=UTC)
_Marks = Callable[[SearchedTrial], bool]


@look.our_look
def search_history(search: SearchedStudy, against: Against = "trials") -> Drawn | Missing:
    """Each trial's best score, the highest so far, and the winner's trials.

    Args:
        search: The search.
        against: Whether by the trials' numbers, or by device-hours spent.
    """
    by = "trial" if against == "trials" else search.hours_unit
    name, title = f"search-history-{against}", f"The search's history: {search.objective} by {by}"
    reason = search.no_score(2) or _no_hours(search, against)
    if reason is not None:
        return Missing(name, title, reason)
    trials, places = _by_number(search) if against == "trials" else _by_hours(search)
    figure = look.new_figure(3.0)
    axes = figure.subplots()
    axis = ScoreAxis(_scores(trials))
    axis.apply(axes, search.score_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=against == "trials"))
    axes.set_xlabel("trial" if against == "trials" else f"{search.hours_unit} spent")
    highest = list(accumulate(_scores(trials), max))
    heights = [axis.height(score) for score in highest]
    axes.step(places, heights, where="post", color=look.INK, lw=1.2, label="highest so far")
    for kind, marks in _kinds(search):
        chosen = [at for at, trial in enumerate(trials) if marks(trial)]
        _scatter(axes, [places[at] for at in chosen], [trials[at] for at in chosen], axis, kind)
    axis.mark_far(axes, places, _scores(trials))
    look.key(axes)
    failed = len(search.trials) - len(trials)
    unshown = [f"not shown: {counted(failed, 'trial')} without a score"] if failed else []
    look.note(figure, [*axis.far_note(_scores(trials)), *unshown])
    return Drawn(name, title, _alt(search, trials, highest, by), figure)


def _kinds(search: SearchedStudy) -> list[tuple[dict[str, Any], _Marks]]:
    """How trials look, by what they are."""

    def are(winners: bool, complete: bool) -> _Marks:
        return lambda trial: (search.is_winners(trial), trial.is_complete) == (winners, complete)

    star = {"marker": "*", "zorder": 4}
    return [
        ({"label": "unfinished", "size": 12.0, "color": look.FADED}, are(False, False)),
        ({"label": "complete", "size": 18.0, "color": look.STRONG}, are(False, True)),
        (
            {"label": "the winner's, unfinished", **look.hollow(36.0, look.ACCENT), **star},
            are(True, False),
        ),
        ({"label": "the winner's", "size": 80.0, "color": look.ACCENT, **star}, are(True, True)),
    ]


def _scatter(
    axes: Axes,
    places: Sequence[float],
    trials: Sequence[SearchedTrial],
    axis: ScoreAxis,
    kind: dict[str, Any],
) -> None:
    shown = [
        (place, axis.height(score))
        for place, score in zip(places, _scores(trials), strict=True)
        if axis.holds(score)
    ]
    look.scatter(axes, shown, **{"zorder": 3, **kind})


def _by_number(search: SearchedStudy) -> tuple[list[SearchedTrial], list[float]]:
    trials = search.scored
    return trials, [float(trial.number) for trial in trials]


def _by_hours(search: SearchedStudy) -> tuple[list[SearchedTrial], list[float]]:
    """The trials as they ended, those that haven't last, and the hours spent by then."""
    ended = sorted(search.trials, key=lambda trial: (trial.ended or _LAST, trial.number))
    spent = accumulate(trial.hours for trial in ended)
    scored = {trial.number for trial in search.scored}
    found = [pair for pair in zip(ended, spent, strict=True) if pair[0].number in scored]
    return [trial for trial, _ in found], [hours for _, hours in found]


def _no_hours(search: SearchedStudy, against: Against) -> str | None:
    if against == "trials" or any(trial.hours for trial in search.scored):
        return None
    return "No trial has recorded the time that it took."


def _scores(trials: Sequence[SearchedTrial]) -> list[float]:
    return [trial.score for trial in trials if trial.score is not None]


def _alt(
    search: SearchedStudy, trials: Sequence[SearchedTrial], highest: Sequence[float], by: str
) -> str:
    scores = _scores(trials)
    first = highest.index(highest[-1])
    winners = [f"#{trial.number}" for trial in trials if search.is_winners(trial)]
    marked = f"; the winner's trials ({_few(winners)}) are marked" if winners else ""
    return (
        f"The best {search.objective} of {counted(len(trials), 'trial')} on "
        f"{search.scored_on}, by {by}: from {min(scores):.1%} to {max(scores):.1%}. "
        f"The highest so far is reached by trial #{trials[first].number}{marked}."
    )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
