"""For studies whose trials are all queued, each with all its parameters."""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from typing_extensions import override


class QueuedOnlySampler(BaseSampler):
    """Chooses nothing."""

    @override
    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """No parameters."""
        return {}

    @override
    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """No values."""
        return {}

    @override
    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Refuse.

        Raises:
            ValueError: Always, as the trial was queued without this parameter.
        """
        raise ValueError(f"found no {param_name} in a trial that was to be queued with it")
