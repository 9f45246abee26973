"""The runs of a grid's study by point and seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from optuna.trial import FrozenTrial, TrialState

from histsearch.database.json_values import is_number
from histsearch.reports.claims.rules import Sample
from histsearch.reports.claims.symbols import point_text
from histsearch.space.configuration import Value
from histsearch.space.trained_space import TrainedSpace
from histsearch.studies import trial_record
from histsearch.studies.hours import in_hours
from histsearch.studies.study import Study
from histsearch.wording import counted

GridPoint = tuple[Value, ...]
"""Values of a grid's parameters, in their order."""


@dataclass(frozen=True)
class GridRun:
    """A complete run of a point.

    Attributes:
        trial: Number of its trial.
        point: The values it ran with.
        seed: Its seed.
        score: Its highest score, a fraction in [0, 1].
        hours: Device-hours that it took; None where that isn't known.
    """

    trial: int
    point: GridPoint
    seed: int
    score: float
    hours: float | None


@dataclass(frozen=True)
class GridScores:
    """The scores of a grid by point.

    Attributes:
        parameters: Names of its parameters.
        points: All its points, in the order of the space's values.
        seeds: How many runs each is to have.
        runs: The complete ones, each of a seed of its own within its point.
        failures: Each run that failed, with its values and its reason.
        to_come: How many runs are queued, running or not begun.
    """

    parameters: tuple[str, ...]
    points: Sequence[GridPoint]
    seeds: int
    runs: Sequence[GridRun]
    failures: Sequence[str]
    to_come: int

    @property
    def remark(self) -> str:
        """What a verdict on its scores doesn't count: failed runs and those to come; else empty."""
        sentences = []
        if self.failures:
            failed = counted(len(self.failures), "failed run")
            sentences.append(f"The averages are without {failed}.")
        if self.to_come:
            done = f"{len(self.runs):,} of {counted(self.expected, 'run')}"
            sentences.append(f"So far {done} are complete, and the verdict may change.")
        return " ".join(sentences)

    @property
    def expected(self) -> int:
        """How many runs there are to be."""
        return self.seeds * len(self.points)

    @property
    def not_to_come(self) -> int:
        """How many of these runs its study won't bring: its budget is smaller, or it has ended."""
        return max(self.expected - len(self.runs) - len(self.failures) - self.to_come, 0)

    def scores(self, point: GridPoint) -> list[float]:
        """The scores of a point by seed; none of one that the grid hasn't."""
        found = {run.seed: run.score for run in self.runs if run.point == point}
        return [found[seed] for seed in sorted(found)]

    def named(self, point: GridPoint) -> dict[str, Value]:
        """A point's values by the names of its parameters."""
        return dict(zip(self.parameters, point, strict=True))

    def sample(self, point: GridPoint) -> Sample:
        """A point as rules test it."""
        return Sample(point_text(self.named(point)), self.scores(point))

    @property
    def short(self) -> list[str]:
        """Each point that has fewer complete runs than it is to have, with their numbers."""
        found = [(point, len(self.scores(point))) for point in self.points]
        return [
            f"{point_text(self.named(point))}: {number} of {self.seeds}"
            for point, number in found
            if number < self.seeds
        ]


def grid_scores(study: Study, parameters: Sequence[str]) -> GridScores:
    """The runs of a study whose sampler is a grid.

    Args:
        study: The study.
        parameters: The parameters of the grid, in the order that points are to have.
    """
    points = points_of(study.definition.space, parameters)
    known, every = set(points), study.trials()
    trials = [trial for trial in every if _point(trial, parameters) in known]
    failed = [one for one in trials if one.state in (TrialState.FAIL, TrialState.PRUNED)]
    finished = sum(trial.state.is_finished() for trial in every)
    return GridScores(
        parameters=tuple(parameters),
        points=points,
        seeds=len(study.definition.grid_seeds),
        runs=_runs(trials, parameters),
        failures=[_failure(study, trial, parameters) for trial in failed],
        to_come=0 if study.is_finished else max(study.budget - finished, 0),
    )


def points_of(space: TrainedSpace, parameters: Sequence[str]) -> list[GridPoint]:
    """The points of a space's grid.

    Args:
        space: A space whose searched parameters are all lists.
        parameters: Their names, in the order that points are to have.
    """
    lists = []
    for name in parameters:
        values = space.search[name]
        assert isinstance(values, tuple)
        lists.append(dict.fromkeys(values))
    return list(product(*lists))


def _point(trial: FrozenTrial, parameters: Sequence[str]) -> GridPoint | None:
    if not all(name in trial.params for name in parameters):
        return None
    return tuple(trial.params[name] for name in parameters)


def _runs(trials: Sequence[FrozenTrial], parameters: Sequence[str]) -> list[GridRun]:
    """The complete runs; of several with the same values and seed the first, as all are alike."""
    found: dict[tuple[GridPoint, int], GridRun] = {}
    for trial in trials:
        point = _point(trial, parameters)
        if trial.state != TrialState.COMPLETE or trial.value is None or point is None:
            continue
        run = GridRun(trial.number, point, _seed(trial), trial.value, _hours(trial))
        found.setdefault((point, run.seed), run)
    return list(found.values())


def _seed(trial: FrozenTrial) -> int:
    """The seed of a run; a trial that plain Optuna told has none but its number."""
    return int(trial.user_attrs.get(trial_record.SEED, trial.number))


def _hours(trial: FrozenTrial) -> float | None:
    seconds = trial.user_attrs.get(trial_record.SECONDS)
    return in_hours(seconds) if is_number(seconds) else None


def _failure(study: Study, trial: FrozenTrial, parameters: Sequence[str]) -> str:
    values = point_text({name: trial.params[name] for name in parameters})
    seed = trial.user_attrs.get(trial_record.SEED)
    with_seed = "" if seed is None else f", seed {seed}"
    reason = trial.user_attrs.get(trial_record.REASON, trial.state.name.lower())
    return f"{study.name} #{trial.number} ({values}{with_seed}): {reason}"
