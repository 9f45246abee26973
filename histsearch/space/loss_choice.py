"""The loss that a space names."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from histsearch.losses.known_losses import LOSSES, USUAL_LOSS
from histsearch.losses.loss_record import LossParameters
from histsearch.space.known_parameters import KnownParameters, known_parameters
from histsearch.space.refusals import refused, show

_ALLOWED = " or ".join(f'"{name}"' for name in LOSSES)


class LossChoice(BaseModel):
    """The table [loss] of a space; the loss's parameters stand in [search] and [fixed]."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(USUAL_LOSS, description=_ALLOWED)

    @field_validator("name", mode="after")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name not in LOSSES:
            raise refused("loss.name", show(name), _ALLOWED)
        return name

    @property
    def parameters(self) -> KnownParameters:
        """The parameters of runs with this loss."""
        own: type[LossParameters] = LOSSES[self.name].parameters
        return known_parameters(own)

    @property
    def sizes(self) -> tuple[str, ...]:
        """The loss's parameters that take the more memory, the larger their value."""
        return LOSSES[self.name].sizes
