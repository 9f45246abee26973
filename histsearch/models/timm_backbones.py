"""Models of timm as backbones.

timm is optional: it is imported when the first of its models is asked for.
"""

# N = batch, H, W = height and width in pixels, T = tokens, F = features, P, Q = height and width of
# the map

import math
from difflib import get_close_matches
from functools import cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from histsearch.exceptions import SpaceError
from histsearch.models.backbone import Backbone, Download, ImageSizes
from histsearch.models.preprocessing import Preprocessing

_PREFIX = "timm:"


class TimmBackbone(nn.Module):
    """A model of timm (Wightman, "PyTorch Image Models") up to its last feature map.

    Layers that the model has after that map keep their place in the state dict, so that its
    weights files fit, and aren't used.
    """

    def __init__(self, name: str) -> None:
        """Build the model that timm knows as `name`, with random weights."""
        super().__init__()
        self.trunk: Any = _create_model(name)
        self._prefix_tokens: int = getattr(self.trunk, "num_prefix_tokens", 0)
        self._channels_last = getattr(self.trunk, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Return the feature map (N, F, P, Q) of images (N, 3, H, W).

        A transformer's map is that of its patches: class and register tokens are left out.
        """
        output: Tensor = self.trunk.forward_features(images_N3HW)
        if output.ndim == 3:
            tokens_NTF = output[:, self._prefix_tokens :]
            side = math.isqrt(tokens_NTF.shape[1])
            return tokens_NTF.transpose(1, 2).reshape(tokens_NTF.shape[0], -1, side, side)
        return output.permute(0, 3, 1, 2) if self._channels_last else output

    def gives_map(self, output: object) -> bool:
        """Whether `forward` can read this output of the model as a map of all its features."""
        features: int = self.trunk.num_features
        if not isinstance(output, Tensor) or not output.numel():
            return False
        if output.ndim == 3:
            tokens = output.shape[1] - self._prefix_tokens
            is_square = tokens > 0 and math.isqrt(tokens) ** 2 == tokens
            return output.shape[2] == features and is_square
        return output.ndim == 4 and output.shape[3 if self._channels_last else 1] == features


@cache
def timm_backbone(backbone: str) -> Backbone:
    """Return a model of timm as a backbone, without allocating it.

    Image size, mean, standard deviation and interpolation are timm's own for the model. Images
    are cropped at the centre whatever crop mode it names.

    Args:
        backbone: `timm:` and a name of timm's.

    Raises:
        SpaceError: timm is missing or has no such model, or the model gives no feature map or
            takes images that aren't square.
    """
    name = _known_name(backbone)
    with torch.device("meta"), torch.inference_mode():
        module = TimmBackbone(name).eval()
    data = _import_timm().data.resolve_model_data_config(module.trunk)
    _, height, width = data["input_size"]
    if height != width:
        raise SpaceError(
            f"backbone '{backbone}' takes images of {height}×{width} pixels; "
            "choose a model for square images"
        )
    if not module.gives_map(_output(module, height)):
        raise SpaceError(
            f"backbone '{backbone}' doesn't end in one square feature map; "
            "choose another model of timm"
        )
    return Backbone(
        name=backbone,
        build=partial(TimmBackbone, name),
        features=module.trunk.num_features,
        preprocessing=Preprocessing(
            resize=math.floor(height / data["crop_pct"]),
            crop=height,
            mean=data["mean"],
            std=data["std"],
            interpolation=data["interpolation"],
        ),
        image_sizes=_image_sizes(module, height),
        pretrained=_download(name),
        classifiers=_classifiers(module.trunk),
        weights_prefix="trunk.",
    )


def _output(module: TimmBackbone, side: int) -> object:
    """What a model on the meta device makes of an image; nothing is computed."""
    with torch.device("meta"), torch.inference_mode():
        return module.trunk.forward_features(torch.empty(1, 3, side, side))


def _image_sizes(module: TimmBackbone, own: int) -> ImageSizes:
    """Which images a model on the meta device takes, besides those of its own size."""
    if module.trunk.pretrained_cfg.get("fixed_input_size"):
        # Some take a few others too, and spread the position of one patch over all.
        return ImageSizes(lambda side: side == own, f"its own {own} alone")

    @cache
    def gives_map(side: int) -> bool:
        try:
            return module.gives_map(_output(module, side))
        except (AssertionError, RuntimeError):  # all that timm's models and torch raise
            return False

    return ImageSizes(gives_map, f"a size that leaves it a feature map, such as its own {own}")


def _download(name: str) -> Download | None:
    """How timm fetches the pretrained weights of one of its models; None where it has none."""
    if not _import_timm().is_model_pretrained(name):
        return None
    return Download(partial(_fetch_weights, name))


def _fetch_weights(name: str) -> dict[str, Tensor]:
    state: dict[str, Tensor] = _create_model(name, pretrained=True).state_dict()
    return state


def _import_timm() -> ModuleType:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise SpaceError(
            "backbones of timm need the package timm, which isn't installed; "
            "pip install 'histsearch[timm]'"
        ) from error
    return timm


def _known_name(backbone: str) -> str:
    timm = _import_timm()
    name = backbone.removeprefix(_PREFIX)
    known = {*timm.list_models(), *timm.list_pretrained()}
    if name not in known:
        matches = ", ".join(get_close_matches(name, sorted(known)))
        similar = f"similar are {matches}" if matches else "timm.list_models() lists them"
        raise SpaceError(f"backbone '{backbone}' isn't known: timm has no such model; {similar}")
    return name


def _create_model(name: str, *, pretrained: bool = False) -> Any:
    # Without classes a model has no classifier. Its pooling stays as it is: some models without
    # pooling would have other layers than their weights files.
    return _import_timm().create_model(name, pretrained=pretrained, num_classes=0)


def _classifiers(trunk: Any) -> tuple[str, ...]:
    names: str | tuple[str, ...] | None = trunk.pretrained_cfg.get("classifier")
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)
