"""The loss that a space names."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from histsearch.exceptions import SpaceError
from histsearch.losses.known_losses import LOSSES, USUAL_LOSS, check_loss_name, is_library_name
from histsearch.space.contradictions import Draft
from histsearch.space.known_parameters import KnownParameters, known_parameters
from histsearch.space.refusals import RefusedError, refused, show

_LIBRARY_LOSS = "a loss of pytorch-metric-learning"


class LossChoice(BaseModel):
    """The table [loss] of a space; the loss's parameters stand in [search] and [fixed]."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(USUAL_LOSS, description="a loss's name")
    miner: str | None = Field(None, description='"pml:NAME", a miner of pytorch-metric-learning')

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        if self.miner is not None:
            self._check_miner(self.miner)
        # A study may have a loss that another machine's packages add.
        if isinstance(info.context, Draft) and info.context.is_new:
            try:
                check_loss_name(self.name)
            except SpaceError as error:
                raise RefusedError(f"loss.name: {error}") from error
        return self

    def _check_miner(self, miner: str) -> None:
        if not is_library_name(miner):
            raise refused("loss.miner", show(miner), '"pml:NAME", such as "pml:TripletMarginMiner"')
        if not is_library_name(self.name):
            allowed = f'with {_LIBRARY_LOSS} alone, not "{self.name}"'
            raise refused("loss.miner", show(miner), allowed)

    def __str__(self) -> str:
        return self.name if self.miner is None else f"{self.name} with {self.miner}"

    @property
    def parameters(self) -> KnownParameters:
        """The parameters of runs with this loss, its own as far as they are known without it."""
        return known_parameters(LOSSES[self.name].parameters if self.name in LOSSES else None)

    @property
    def sizes(self) -> tuple[str, ...]:
        """The loss's parameters that are known to take the more memory, the larger their value."""
        return LOSSES[self.name].sizes if self.name in LOSSES else ()
