"""What is needed to build a backbone and to fill it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from histsearch.models.preprocessing import Preprocessing


@dataclass(frozen=True)
class Architecture:
    """A backbone's module, its input and its output.

    Attributes:
        build: Returns the module with random weights. It maps images (N, 3, H, W) to a feature
            map (N, features, P, Q).
        features: Channels of the feature map.
        preprocessing: The input images it expects.
        classifiers: Names of the layers that its weights files have and the module leaves out.
        weights_prefix: What the module's keys have before those of its weights files.
    """

    build: Callable[[], nn.Module]
    features: int
    preprocessing: Preprocessing
    classifiers: tuple[str, ...] = ()
    weights_prefix: str = ""
