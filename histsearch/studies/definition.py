"""What a study is: kept in its user attributes, so that a worker needs the database alone."""

from typing import Literal

from optuna.distributions import BaseDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict

from histsearch.search.distributions import distributions
from histsearch.search.space import Space
from histsearch.studies.trial_record import SEED


class StudyDefinition(BaseModel):
    """The unchanging part of a study.

    Attributes:
        kind: "search", or "retrain" for chosen configurations on the full training half.
        version: The histsearch that created the study.
        space: What it searches. For a retraining, the chosen values of the searched parameters.
        source: The search that a retraining takes its configurations from.
        seeds: Runs of each configuration in a retraining; 1 in a search.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["search", "retrain"]
    version: str
    space: Space
    source: str | None = None
    seeds: int = 1

    def distributions(self) -> dict[str, BaseDistribution]:
        """The parameters of this study's trials; a retraining's seed is one of them."""
        searched = distributions(self.space)
        if self.kind == "search":
            return searched
        return {**searched, SEED: IntDistribution(0, self.seeds - 1)}

    @property
    def touches_test_classes(self) -> bool:
        """Whether this search selects on the test classes, as the paper did."""
        return self.kind == "search" and self.space.protocol.validation == "test"
