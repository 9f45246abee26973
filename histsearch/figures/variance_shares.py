"""How much each searched parameter, and each pair, matters."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.score_axis import PERCENT
from histsearch.search.standing import Share

_NAME = "variance-shares"
_TITLE = "Shares of the parameters in the variance of the expected score"
_MOST = 20


@look.our_look
def variance_shares(shares: Sequence[Share]) -> Drawn | Missing:
    """The share of each parameter and of pairs in the variance of the expected score.

    Args:
        shares: As a standing has them: parameters, the largest first, then pairs.
    """
    if not shares:
        return Missing(
            _NAME,
            _TITLE,
            'No model has told what mattered: that of sampler = "freeze-thaw" does, once three '
            "configurations have run.",
        )
    shown = shares[:_MOST]
    figure = look.new_figure(0.7 + 0.22 * len(shown))
    axes = figure.subplots()
    look.rows(axes, [_name(one) for one in shown])
    axes.set_xlim(0.0, PERCENT * min(max(one.high for one in shown) * 1.05, 1.0))
    axes.set_xlabel("share of the variance in %, with 95% interval")
    for row, one in enumerate(shown):
        _draw(axes, row, one)
    look.note(
        figure,
        [
            "● a parameter by itself  ◇ what a pair adds",
            *look.and_more(len(shown), len(shares), "shares"),
        ],
    )
    return Drawn(_NAME, _TITLE, _alt(shown), figure)


def _draw(axes: Axes, row: int, share: Share) -> None:
    is_pair = len(share.parameters) == 2
    ends = (PERCENT * share.low, PERCENT * share.high)
    axes.plot(ends, (row, row), color=look.STRONG, lw=1.4, alpha=0.6)
    axes.plot(
        *(PERCENT * share.share, row),
        marker="D" if is_pair else "o",
        ms=5.0,
        mfc="#FFFFFF" if is_pair else look.STRONG,
        mec=look.STRONG,
    )
    look.beside_row(axes, row, f"{share.share:.0%} ({share.low:.0%} to {share.high:.0%})")


def _name(share: Share) -> str:
    return " × ".join(look.text(name, 20) for name in share.parameters)


def _alt(shares: Sequence[Share]) -> str:
    told = ", ".join(
        f"{' with '.join(map(look.plain, one.parameters))} {one.share:.0%} "
        f"({one.low:.0%} to {one.high:.0%})"
        for one in shares[:3]
    )
    return (
        "Shares in the variance of the expected score over the space, with 95% intervals; the "
        f"first are {told}."
    )
