"""A study's trials as the planner sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from histsearch.search.candidates import Candidates, Configuration, SearchSpace
from histsearch.search.curve_model import Settings
from histsearch.search.experience import Experience, expected_by_all, read_experiences
from histsearch.search.planner import Fit, Planner, TrialView

PERCENT = 100.0

# Attributes of a trial.
WARMUP_SECONDS = "warmup_seconds"
EPOCH_SECONDS = "epoch_seconds"
DIVERGED = "diverged"
PAUSED = "paused"
TO_THE_END = "to_the_end"

FIT = "histsearch.fit"
"""Attribute of a study: the settings of the sampler's model, for any process to go on with."""

ANSWER = "histsearch.answer"
"""Attribute of a study: the configuration that stands as its winner."""

_HOPELESS = 0.25  # chance of running: three trials with a value failed, and none ran
_FITS = 3  # rounds until a model's settings have settled
BEST = 8
"""Configurations around which a large space is looked at more closely."""


@dataclass(frozen=True)
class History:
    """A study's trials, of those configurations that a planner may choose from.

    Attributes:
        candidates: What to choose from, the trials' own configurations included.
        views: One for each trial with all its parameters.
        numbers: The trials' numbers, in the order of ``views``.
        barred: Candidates that must not be trained: they failed or diverged, or have a value with
            which hardly a trial runs.
        ruled_out: Those that failed or diverged and that no trial has run to its end; they can't
            win.
    """

    candidates: Candidates
    views: list[TrialView]
    numbers: list[int]
    barred: list[int]
    ruled_out: list[int]

    def index(self, number: int) -> int | None:
        """Place of a trial in ``views``."""
        return self.numbers.index(number) if number in self.numbers else None


def read_history(
    trials: Sequence[FrozenTrial],
    search_space: Mapping[str, BaseDistribution],
    epochs: int,
    rng: np.random.Generator,
    favoured: Sequence[Configuration] = (),
) -> History:
    """Translate Optuna's trials; R@1 in [0, 1] becomes percent.

    Args:
        trials: All trials of a study.
        search_space: The searched parameters.
        epochs: Epochs of a full run.
        rng: Source of the draw of candidates, in a large space.
        favoured: Configurations that earlier studies favour.
    """
    space = SearchSpace(search_space)
    usable = [trial for trial in trials if space.holds(trial.params)]
    best = sorted(usable, key=_last_value, reverse=True)[:BEST]
    candidates = space.candidates(
        [*(space.part(trial.params) for trial in usable), *favoured],
        [*(space.part(trial.params) for trial in best), *favoured],
        rng,
    )
    views, numbers, failed = [], [], []
    for trial in usable:
        row = candidates.row(trial.params)
        assert row is not None
        if trial.state == TrialState.FAIL or trial.user_attrs.get(DIVERGED):
            failed.append(row)
        views.append(_view(trial, row, epochs))
        numbers.append(trial.number)
    whole = {view.configuration for view in views if len(view.recalls) == epochs}
    ruled_out = [row for row in failed if row not in whole]
    barred = failed + _hopeless(candidates, views, failed)
    return History(candidates, views, numbers, barred, ruled_out)


def _hopeless(
    candidates: Candidates, views: Sequence[TrialView], failed: Sequence[int]
) -> list[int]:
    """Candidates that wouldn't run, as others with one of their values didn't.

    No epoch would ever tell the model so: what needs too much memory would stay unknown, and
    therefore worth a look, in every neighbour. None are, when none would be left.
    """
    if not failed:
        return []
    ran = [view.configuration for view in views if view.recalls]
    ran = [row for row in ran if row not in failed]
    hopeless = np.flatnonzero(candidates.chances_of_running(ran, failed) <= _HOPELESS)
    barred = np.setdiff1d(hopeless, [*ran, *failed])
    left = len(candidates.configurations) - len({*failed}) - len(barred)
    return barred.tolist() if left else []


def draw(seed: int, trials: Sequence[FrozenTrial]) -> np.random.Generator:
    """Source of a draw of candidates: another one after every epoch, and every trial begun."""
    epochs = sum(len(trial.intermediate_values) for trial in trials)
    return np.random.default_rng((seed, len(trials), epochs))


def _last_value(trial: FrozenTrial) -> tuple[int, float]:
    steps = trial.intermediate_values
    return (len(steps), steps[max(steps)]) if steps else (0, 0.0)


def _view(trial: FrozenTrial, row: int, epochs: int) -> TrialView:
    recalls: list[float] = []
    while len(recalls) < epochs and len(recalls) + 1 in trial.intermediate_values:
        value = trial.intermediate_values[len(recalls) + 1]
        if not np.isfinite(value):
            break
        recalls.append(PERCENT * value)
    waits = trial.state == TrialState.WAITING
    paused = bool(trial.user_attrs.get(PAUSED))
    return TrialView(
        row,
        tuple(recalls),
        _seconds(trial, len(recalls)),
        # One that waits without being paused comes again by itself.
        running=trial.state == TrialState.RUNNING or (waits and not paused),
        resumable=waits and paused,
    )


def _seconds(trial: FrozenTrial, epochs: int) -> tuple[float, ...]:
    """Of each epoch, the first with the warm-up; none where they weren't recorded."""
    recorded: Any = trial.user_attrs.get(EPOCH_SECONDS, [])
    seconds = [float(one) for one in recorded][:epochs]
    if not seconds or not np.isfinite(seconds).all() or min(seconds) <= 0.0:
        return ()
    seconds[0] += float(trial.user_attrs.get(WARMUP_SECONDS, 0.0))
    return tuple(seconds)


def load_planner(
    study: optuna.Study, history: History, epochs: int, min_epochs: int | None = None
) -> Planner:
    """A planner with the fit that the study remembers, and the experience it began with."""
    candidates = history.candidates
    experiences = read_experiences(study)
    stored = study.user_attrs.get(FIT)
    fit = None
    if stored is not None:
        settings = Settings(np.array(stored["settings"]), len(experiences))
        fit = Fit(settings, int(stored["epochs"]))
    return Planner(
        candidates.places_GD,
        candidates.distances_D,
        epochs,
        fit,
        expected_by_all(experiences, candidates.configurations),
        min_epochs,
    )


def learn(
    name: str, study: optuna.Study, search_space: Mapping[str, BaseDistribution], epochs: int
) -> Experience | None:
    """What a study teaches later ones; None if it has no epoch yet.

    Configurations that failed or diverged teach nothing. Its own experience isn't passed on: name
    the earlier studies beside it.

    Args:
        name: Its name.
        study: The study.
        search_space: Its searched parameters.
        epochs: Epochs of a full run.
    """
    rng = np.random.default_rng(0)
    history = read_history(study.get_trials(deepcopy=False), search_space, epochs, rng)
    views = [
        view._replace(running=False)
        for view in history.views
        if view.recalls and view.configuration not in history.barred
    ]
    return learn_from(name, search_space, history.candidates, views, epochs) if views else None


def learn_from(
    name: str,
    search_space: Mapping[str, BaseDistribution],
    candidates: Candidates,
    views: Sequence[TrialView],
    epochs: int,
) -> Experience:
    """What trials that have run for some epochs teach."""
    planner = Planner(candidates.places_GD, candidates.distances_D, epochs)
    for _ in range(_FITS):
        planner.fit_to(views)
    posterior = planner.posterior(views)
    best = max({view.configuration for view in views}, key=lambda row: float(posterior.mean_G[row]))
    return Experience(
        name,
        dict(search_space),
        candidates.configurations[best],
        planner.model.settings,
        [candidates.configurations[row] for row in posterior.pivots],
        posterior.weights_BV,
    )


def refit(study: optuna.Study, history: History, planner: Planner) -> None:
    """Fit a planner's model anew if it is time, and have the study remember that."""
    before = planner.fit
    planner.refit(history.views)
    fit = planner.fit
    if fit.epochs == before.epochs:
        return
    values = [round(float(value), 6) for value in fit.settings.values_S]
    study.set_user_attr(FIT, {"settings": values, "epochs": fit.epochs})


def find_answer(
    study: optuna.Study, history: History, planner: Planner, *, final: bool = False
) -> int:
    """Row of the study's answer, beginning with the one it remembers.

    Args:
        study: The study.
        history: Its trials.
        planner: What it knows of them.
        final: Whether all its trials have begun: the answer then is what is expected to be best,
            whichever stood before.
    """
    remembered = None if final else study.user_attrs.get(ANSWER)
    standing = None if remembered is None else history.candidates.row(remembered)
    return planner.answer(history.views, standing, history.ruled_out).configuration


def store_answer(
    study: optuna.Study, history: History, planner: Planner, *, final: bool = False
) -> None:
    """Have the study remember its answer, where it is another than before; as `find_answer`."""
    if any(view.recalls for view in history.views):
        row = find_answer(study, history, planner, final=final)
        answer = history.candidates.configurations[row]
        if answer != study.user_attrs.get(ANSWER):
            study.set_user_attr(ANSWER, answer)
