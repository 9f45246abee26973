"""What training takes from a space, however its configurations are chosen."""

import typing
from collections.abc import Mapping

from histsearch.space.configuration import Configuration, Value
from histsearch.space.known_parameters import KnownParameters
from histsearch.space.loss_choice import LossChoice
from histsearch.space.parameters import Parameter
from histsearch.space.space import Determinism, Precision, Protocol


class TrainedSpace(typing.Protocol):
    """A `Space` without its sampler, its pruner and what ends the search."""

    @property
    def name(self) -> str:
        """The space's name."""

    @property
    def dataset(self) -> str:
        """The data set's name."""

    @property
    def backbone(self) -> str:
        """The backbone's name."""

    @property
    def weights(self) -> str:
        """A weights file, "pretrained" or "none"."""

    @property
    def loss(self) -> LossChoice:
        """The loss."""

    @property
    def parameters(self) -> KnownParameters:
        """The parameters that its runs have."""

    @property
    def epochs(self) -> int:
        """Full length of a trial."""

    @property
    def max_retries(self) -> int:
        """How often a trial that crashed is started again."""

    @property
    def on_bad_image(self) -> str:
        """What an image that can't be read does: "fail" or "skip"."""

    @property
    def precision(self) -> Precision:
        """What networks are trained with."""

    @property
    def determinism(self) -> Determinism:
        """Whether a GPU repeats a run bit for bit."""

    @property
    def image_size_cap(self) -> int | None:
        """The longest that the shorter side of a training image may be; None for no limit."""

    @property
    def search(self) -> Mapping[str, Parameter]:
        """The values or ranges of the parameters that differ between trials."""

    @property
    def fixed(self) -> Mapping[str, Value]:
        """The parameters that don't."""

    @property
    def protocol(self) -> Protocol:
        """How trials are judged."""

    def complete(self, configuration: Mapping[str, Value]) -> Configuration:
        """The complete parameters of a trial: ``configuration`` over ``fixed``."""
