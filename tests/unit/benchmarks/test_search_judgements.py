"""What the benchmark of searches says of its goals, and how sure its tables are."""

import json
from itertools import product

import numpy as np
import pytest

from benchmarks.search import certainty, goals
from benchmarks.search.courses import Course
from benchmarks.search.simulator import Step
from benchmarks.search.table import Table

EPOCHS = 10
CONFIGURATIONS = 12


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A grid of 6 × 2 that rises with tau, with two seeds that differ by 2 points, 10 s a run."""
    rng = np.random.default_rng(0)
    lines = [
        {
            "params": {"tau": tau, "batch_size": batch_size},
            "seed": seed,
            "curve": [(60 + 3 * np.log2(tau) + rng.normal(0, 2)) / 100] * EPOCHS,
            "seconds": 10.0,
        }
        for tau, batch_size, seed in product((4, 8, 16, 32, 64, 128), (8, 16), (0, 1))
    ]
    path = tmp_path_factory.mktemp("tables") / "rising.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return Table(path)


def course(method: str, repeat: int, *, until: float, right_after: float, pace: float) -> Course:
    """A search that is 9 points off until some full runs, and right to its end."""
    steps = [(0.1, 9.0), (right_after, 0.0), (until, 0.0)]
    if right_after > until:
        steps = [(0.1, 9.0), (until, 9.0)]
    at = [Step(round(runs * EPOCHS), runs * 10 * pace, regret) for runs, regret in steps]
    return Course("rising", method, 1, repeat, at, 0.0)


def judged(goal: int, table: Table, courses: list[Course]) -> list[str]:
    """One goal by epochs and by seconds, with one worker."""
    judge = goals.GOALS[goal][1]
    return [judge(goals.rivals(table, courses, 1, unit)) for unit in goals.UNITS]


def several(method: str, *, until: float, right_after: float, pace: float = 1.0) -> list[Course]:
    return [
        course(method, repeat, until=until, right_after=right_after, pace=pace)
        for repeat in range(4)
    ]


def test_costs_are_compared_by_epochs_and_by_seconds(table: Table) -> None:
    ours = several("freeze-thaw", until=6, right_after=1, pace=1.5)
    random = several("random", until=6, right_after=5)
    assert judged(0, table, ours + random) == ["0.20", "0.30"]


def test_random_search_that_never_arrives_bounds_the_ratio(table: Table) -> None:
    ours = several("freeze-thaw", until=6, right_after=1)
    never = several("random", until=6, right_after=8)
    assert judged(0, table, ours + never) == ["< 0.17", "< 0.17"]


def test_the_cheapest_peer_counts_and_not_random_trials_with_our_answer(table: Table) -> None:
    ours = several("freeze-thaw", until=6, right_after=1)
    others = several("random-model-answer", until=6, right_after=0.5)
    others += several("freeze-thaw-warm", until=6, right_after=0.5)
    others += several("asha", until=6, right_after=4) + several("bohb", until=6, right_after=5)
    assert judged(1, table, ours + others) == ["0.25 of asha's", "0.25 of asha's"]


def test_where_no_peer_arrives_there_is_no_cheapest(table: Table) -> None:
    ours = several("freeze-thaw", until=6, right_after=1)
    never = several("asha", until=6, right_after=8)
    assert judged(1, table, ours + never) == ["no peer arrives"] * 2


@pytest.mark.parametrize(
    ("until", "right_after", "verdict"),
    [
        (6, 4, "yes"),
        (6, 2, "no"),
        (6, 8, "yes"),
        (1.5, 8, "open (asha ended before)"),
    ],
)
def test_a_peer_that_ended_too_soon_leaves_the_bound_open(
    table: Table, until: float, right_after: float, verdict: str
) -> None:
    ours = several("freeze-thaw", until=6, right_after=2)
    peer = several("asha", until=until, right_after=right_after)
    assert judged(2, table, ours + peer) == [verdict, verdict]


def test_of_our_repeats_the_slow_ones_count_in_the_bound(table: Table) -> None:
    ours = [
        course("freeze-thaw", repeat, until=6, right_after=after, pace=1.0)
        for repeat, after in enumerate((1, 1, 1, 5))
    ]
    assert judged(2, table, ours + several("asha", until=6, right_after=4)) == ["no", "no"]


def test_both_are_looked_at_as_far_as_the_peers_shortest_repeat(table: Table) -> None:
    wavers = Step(50, 50.0, 9.0), Step(60, 60.0, 0.0), Step(80, 80.0, 0.0)
    ours = [
        one._replace(steps=[*one.steps[:2], *wavers])
        for one in several("freeze-thaw", until=4, right_after=1)
    ]
    peer = several("asha", until=4, right_after=2)
    assert judged(1, table, ours + peer) == ["0.50 of asha's"] * 2
    longer = several("asha", until=8, right_after=6)
    assert judged(1, table, [*ours, peer[0], *longer[1:]]) == ["no peer arrives"] * 2


def test_a_peer_that_ended_sooner_by_seconds_leaves_their_bound_open(table: Table) -> None:
    ours = several("freeze-thaw", until=6, right_after=4)
    peer = several("asha", until=6, right_after=8, pace=0.5)
    assert judged(2, table, ours + peer) == ["yes", "open (asha ended before)"]


def test_where_we_do_not_arrive_there_is_no_ratio(table: Table) -> None:
    ours = several("freeze-thaw", until=6, right_after=8)
    others = several("random", until=6, right_after=4) + several("asha", until=6, right_after=4)
    for goal in (0, 1):
        assert judged(goal, table, ours + others) == ["freeze-thaw doesn't arrive"] * 2


def test_drawn_truths_scatter_about_the_smoothed_one_as_far_as_it_is_known(table: Table) -> None:
    truths_GX = table.truth.draw(4000, np.random.default_rng(0))
    best = int(table.truth_G.argmax())
    assert truths_GX.shape == (CONFIGURATIONS, 4000)
    assert np.allclose(truths_GX.mean(axis=1), table.truth_G, atol=0.1)
    assert truths_GX[best].std() == pytest.approx(table.truth.best_deviation, rel=0.1)
    beside = table.row({"tau": 64, "batch_size": table.grid[best]["batch_size"]})
    assert np.corrcoef(truths_GX[best], truths_GX[beside])[0, 1] > 0.15, "near ones go together"


def test_an_answer_is_as_good_as_the_draws_say(table: Table) -> None:
    regrets_GX = certainty.regrets(table)
    assert (regrets_GX.min(axis=0) == 0).all()
    worst = float(table.best - table.truth_G.min())
    at_ends = [
        [Course("rising", "freeze-thaw", 1, 0, [Step(10, 10.0, round(regret, 3))], 0.0)]
        for regret in (0.0, worst)
    ]
    best_share, worst_share = (
        certainty.expected_share(table, regrets_GX, courses) for courses in at_ends
    )
    assert 0.2 < best_share < 1.0
    assert worst_share < 0.05
