"""Every configuration of a finite space once, or once a fold and seed, in order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override


class GridSampler(BaseSampler):
    """Takes the first configuration of the grid that the fewest trials of the study have taken.

    Optuna's own keeps its grid in the process that runs it and ends that process's optimisation;
    this one looks at the study alone, so it serves any number of workers that claim in turn, and
    configurations that were enqueued count as taken.

    Args:
        search_space: The values of each parameter; the last one varies fastest.
        rounds: How often each configuration is taken.
    """

    def __init__(self, search_space: Mapping[str, Sequence[Any]], rounds: int = 1) -> None:
        self._rounds = rounds
        self._values = {name: tuple(dict.fromkeys(values)) for name, values in search_space.items()}

    @override
    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters, as one search space."""
        return {name: CategoricalDistribution(values) for name, values in self._values.items()}

    @override
    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """The next configuration, of those that agree with what was enqueued for this trial."""
        enqueued = trial.system_attrs.get("fixed_params", {})
        possible = [
            [value for value in values if value == enqueued.get(name, value)]
            for name, values in self._values.items()
        ]
        taken = Counter(self._key(other) for other in study.get_trials(deepcopy=False))
        free = (
            one for done in range(self._rounds) for one in product(*possible) if taken[one] <= done
        )
        first = tuple(values[0] for values in possible)
        return dict(zip(self._values, next(free, first), strict=True))

    def _key(self, trial: FrozenTrial) -> tuple[Any, ...]:
        enqueued = trial.system_attrs.get("fixed_params", {})
        waiting = trial.state == TrialState.WAITING
        params = {**enqueued, **trial.params} if waiting else trial.params
        return tuple(params.get(name) for name in self._values)

    @override
    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Refuse: every parameter of the grid is part of the relative search space."""
        raise ValueError(f"found {param_name}, which is no parameter of the grid")
