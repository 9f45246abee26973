"""Every value that a run was trained with, and where each comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from histsearch.models.known_backbones import BACKBONES
from histsearch.space.configuration import Value
from histsearch.space.parameters import Parameter, Range
from histsearch.space.trained_space import TrainedSpace

SEARCHED = "searched"
FIXED = "fixed"
OF_A_BASELINE = "baseline"
DEFAULT = "default"
OF_THE_BACKBONE = "backbone"


@dataclass(frozen=True)
class FullConfiguration:
    """Every value that runs of one configuration are trained with.

    Attributes:
        label: The configuration's short name, such as "tuned #11".
        epochs: Epochs that it is trained for.
        values: Each value by its name.
        origins: Where each value comes from: `SEARCHED`, `FIXED`, `OF_A_BASELINE`,
            `DEFAULT` or `OF_THE_BACKBONE`.
    """

    label: str
    epochs: int
    values: dict[str, Value]
    origins: dict[str, str]


def full_configuration(
    space: TrainedSpace, label: str, configuration: Mapping[str, Any], epochs: int
) -> FullConfiguration:
    """A configuration with all that its space fixes and all defaults.

    Of a backbone that isn't histsearch's own, and of a loss that isn't, only what the space says is
    known without their packages.

    Args:
        space: The space.
        label: Its short name.
        configuration: Its searched values, and those that a baseline sets besides.
        epochs: Epochs that it is trained for.

    Raises:
        pydantic.ValidationError: The space doesn't allow the values.
    """
    # As they were given: a whole number may have become a fraction.
    given = {**space.fixed, **configuration}
    complete = space.complete(configuration).values()
    values = {name: given.get(name, value) for name, value in complete.items()}
    origins = {name: _origin(space, name, configuration) for name in values}
    backbone = BACKBONES.get(space.backbone)
    of_backbone: dict[str, Value] = {}
    if backbone is not None:
        inputs = backbone.preprocessing
        known = {"image_size": inputs.crop, "min_crop_area": inputs.min_crop_area}
        of_backbone = {name: value for name, value in known.items() if name not in values}
    return FullConfiguration(
        label,
        epochs,
        {**values, **of_backbone},
        {**origins, **dict.fromkeys(of_backbone, OF_THE_BACKBONE)},
    )


def _origin(space: TrainedSpace, name: str, configuration: Mapping[str, Any]) -> str:
    if name in space.search:
        # A baseline may have a value that the search couldn't try.
        tried = name not in configuration or _tries(space.search[name], configuration[name])
        return SEARCHED if tried else OF_A_BASELINE
    if name in space.fixed:
        is_own = configuration.get(name, space.fixed[name]) == space.fixed[name]
        return FIXED if is_own else OF_A_BASELINE
    usual = space.parameters.defaults.get(name)
    return OF_A_BASELINE if configuration.get(name, usual) != usual else DEFAULT


def _tries(parameter: Parameter, value: object) -> bool:
    return parameter.holds(value) if isinstance(parameter, Range) else value in parameter
