"""What a study is: kept in its user attributes, so that a worker needs the database alone."""

import secrets
from typing import Any, Literal

from optuna.distributions import BaseDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, model_validator

import histsearch
from histsearch.exceptions import StudyError
from histsearch.search.distributions import distributions
from histsearch.space.space import Space
from histsearch.studies.trial_record import SEED

_ANY_SEED = IntDistribution(0, 2**33 - 1)
"""Of every retraining, so that seeds can be added; a search's own end at 2**32 - 1 + trials."""


def new_key() -> str:
    """A key for a new study."""
    return secrets.token_hex(4)


def _release_line(version: str) -> str:
    parts = version.split(".")
    return ".".join(parts[:2]) if parts[0] == "0" else parts[0]


class StudyDefinition(BaseModel):
    """The unchanging part of a study.

    Attributes:
        kind: "search", or "retrain" for chosen configurations on the full training half.
        version: The histsearch that created the study.
        key: Tells it from every other study of that name, earlier ones and those elsewhere.
        space: What it searches. For a retraining, the chosen values of the searched parameters.
        source: The search that a retraining takes its configurations from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["search", "retrain"]
    version: str
    key: str = ""
    space: Space
    source: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_seeds(cls, kept: Any) -> Any:
        """Read studies whose definition has a number of seeds, before these could be added."""
        if not isinstance(kept, dict):
            return kept
        return {name: value for name, value in kept.items() if name != "seeds"}

    def distributions(self) -> dict[str, BaseDistribution]:
        """The parameters of this study's trials; a retraining's seed is one of them."""
        searched = distributions(self.space)
        if self.kind == "search":
            return searched
        return {**searched, SEED: _ANY_SEED}

    def check_version(self, name: str) -> None:
        """Make sure that this histsearch may run the study's trials.

        A version trains as another of the same release line does: the first two numbers while
        the major one is 0, the first alone from then on.

        Args:
            name: The study's name, for the message.

        Raises:
            StudyError: The study belongs to another release line.
        """
        theirs, ours = (_release_line(one) for one in (self.version, histsearch.__version__))
        if theirs != ours:
            raise StudyError(
                f'found "{name}", a study of histsearch {self.version}, whose trials would not be '
                f"comparable with those of {histsearch.__version__}; run its workers with "
                f"histsearch {theirs}.x, or create a study anew"
            )

    @property
    def touches_test_classes(self) -> bool:
        """Whether this search selects on the test classes, as the paper did."""
        return self.kind == "search" and self.space.protocol.validation == "test"
