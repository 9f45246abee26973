# N = batch, H, W = height and width in pixels, T = tokens, F = features, P, Q = height and width of
# the feature map

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from histsearch.exceptions import SpaceError, WeightsError
from histsearch.models import known_backbones
from histsearch.models.checkpoint import load_checkpoint, save_checkpoint
from histsearch.models.initial_weights import check_weights
from histsearch.models.known_backbones import find_backbone
from histsearch.models.network import EmbeddingNetwork, build_network
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.timm_backbones import TimmBackbone
from histsearch.space.reading import load_space
from histsearch.training.run_inputs import find_run_parts

timm: Any = pytest.importorskip("timm", reason="its models need the extra histsearch[timm]")

# A map of channels first, of channels last, and tokens after a class token.
KINDS = ("test_resnet", "test_mambaout", "test_vit")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty download cache and no network; returns the cache's folder."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "cache"


def state_of(name: str, seed: int) -> dict[str, Tensor]:
    """Return a state dict as timm's weights files hold it, with a classifier."""
    torch.manual_seed(seed)
    state: dict[str, Tensor] = timm.create_model(name, pretrained=False).state_dict()
    return state


def images(name: str) -> Tensor:
    side = find_backbone(f"timm:{name}").preprocessing.crop
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def saved(network: EmbeddingNetwork, name: str, path: Path) -> Path:
    backbone = find_backbone(f"timm:{name}")
    save_checkpoint(
        path,
        network,
        backbone=backbone,
        preprocessing=backbone.preprocessing,
        embedding_size=8,
        extra={},
    )
    return path


@pytest.mark.parametrize("name", ["timm:", "timm:../resnet", "timm:hf-hub:x/y", "timm", "timm:a b"])
def test_a_name_that_timm_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(SpaceError, match=r"isn't known; .* timm:NAME"):
        find_backbone(name)


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("timm:resnet10x", "similar are resnet10t"),
        ("timm:resnet18.tv_in2k", r"similar are resnet18\.tv_in1k"),
        ("timm:qqqqqqqqqq", r"timm\.list_models\(\) lists them"),
    ],
)
def test_an_unknown_model_is_refused_with_similar_names(name: str, similar: str) -> None:
    with pytest.raises(SpaceError, match=f"timm has no such model; {similar}"):
        find_backbone(name)


def test_a_backbone_is_written_as_its_name() -> None:
    """As in the settings that tell one run's saved states from another's."""
    written = [repr(find_backbone(name)) for name in ("conv4", "timm:test_vit")]
    assert written == ["'conv4'", "'timm:test_vit'"]


def test_a_missing_timm_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SpaceError, match=r"pip install 'histsearch\[timm\]'"):
        find_backbone("timm:resnet18")


@pytest.mark.parametrize("name", ["crossvit_9_240", "pit_ti_distilled_224", "coat_lite_tiny"])
def test_a_model_without_one_feature_map_is_refused(name: str) -> None:
    with pytest.raises(SpaceError, match="doesn't end in one square feature map"):
        find_backbone(f"timm:{name}")


def test_looking_a_model_up_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    find_backbone("timm:test_vit2")
    assert torch.equal(torch.get_rng_state(), before)


def test_preprocessing_is_timms_own() -> None:
    assert find_backbone("timm:test_resnet").preprocessing == Preprocessing(
        resize=168, crop=160, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    )
    assert find_backbone("timm:resnet10t").preprocessing == Preprocessing(
        resize=201,
        crop=176,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        interpolation="bicubic",
    )


@pytest.mark.parametrize(
    ("name", "pooled"),
    [
        ("test_resnet", lambda map_NFPQ: map_NFPQ.mean(dim=(2, 3))),
        ("test_mambaout", lambda map_NPQF: map_NPQF.mean(dim=(1, 2))),
        ("test_vit", lambda tokens_NTF: tokens_NTF[:, 1:].mean(dim=1)),
    ],
)
def test_the_feature_map_holds_timms_features_without_the_class_token(
    name: str, pooled: Callable[[Tensor], Tensor]
) -> None:
    backbone = find_backbone(f"timm:{name}")
    module = backbone.build().eval()
    assert isinstance(module, TimmBackbone)
    with torch.inference_mode():
        map_NFPQ = module(images(name))
        expected_NF = pooled(module.trunk.forward_features(images(name)))
    assert map_NFPQ.shape[1] == backbone.features
    assert map_NFPQ.shape[2] == map_NFPQ.shape[3] > 1
    torch.testing.assert_close(map_NFPQ.mean(dim=(2, 3)), expected_NF)


@pytest.mark.parametrize("name", KINDS)
def test_training_reaches_the_first_layer(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(find_backbone(f"timm:{name}"), 8, weights="none")
    network.bn_freeze = True
    network.train()(images(name))[:, 0].sum().backward()
    assert next(iter(network.backbone_parameters())).grad is not None
    assert network.embedding_parameters()[0].shape[0] == 8


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", KINDS)
def test_a_weights_file_of_timm_fills_the_backbone(name: str, suffix: str, tmp_path: Path) -> None:
    state = state_of(name, 1)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    loaded = build_network(find_backbone(f"timm:{name}"), 8, weights=str(path)).state_dict()
    backbone = [key for key in loaded if not key.startswith("model.embedding.")]
    assert all(torch.equal(loaded[k], state[k.removeprefix("model.trunk.")]) for k in backbone)


def test_a_weights_file_of_another_model_is_refused(tmp_path: Path) -> None:
    torch.save(state_of("test_vit", 0), tmp_path / "vit.pth")
    with pytest.raises(WeightsError, match=r"vit\.pth' don't fit timm:test_resnet: \d+ missing"):
        build_network(find_backbone("timm:test_resnet"), 8, weights=str(tmp_path / "vit.pth"))


def test_pretrained_weights_come_from_timms_cache(offline: Path) -> None:
    model = offline / "models--timm--test_resnet.r160_in1k"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("0" * 40)
    (model / "snapshots" / ("0" * 40)).mkdir(parents=True)
    state = state_of("test_resnet", 1)
    safetensors.torch.save_file(state, model / "snapshots" / ("0" * 40) / "model.safetensors")
    network = build_network(find_backbone("timm:test_resnet"), 8, weights="pretrained")
    key = "conv1.0.weight"
    assert torch.equal(network.state_dict()[f"model.trunk.{key}"], state[key])


@pytest.mark.usefixtures("offline")
def test_a_failed_download_says_what_to_give_instead() -> None:
    with pytest.raises(
        WeightsError,
        match=r"weights of timm:test_vit can't be fetched .* path of a file, or 'none'",
    ):
        build_network(find_backbone("timm:test_vit"), 8, weights="pretrained")


def test_a_model_without_pretrained_weights_is_refused_before_a_download() -> None:
    name = next(n for n in timm.list_models("resnet*") if not timm.is_model_pretrained(n))
    backbone = find_backbone(f"timm:{name}")
    with pytest.raises(WeightsError, match=f"timm:{name} has no pretrained weights to download"):
        check_weights(backbone, "pretrained")
    check_weights(backbone, "none")


def test_a_checkpoint_of_a_timm_network_comes_back(tmp_path: Path) -> None:
    network = build_network(find_backbone("timm:test_vit"), 8, weights="none").eval()
    checkpoint = load_checkpoint(saved(network, "test_vit", tmp_path / "vit.pt"))
    assert checkpoint.preprocessing == find_backbone("timm:test_vit").preprocessing
    with torch.inference_mode():
        torch.testing.assert_close(
            checkpoint.network(images("test_vit")), network(images("test_vit")), rtol=0, atol=0
        )


@pytest.mark.parametrize(
    ("name", "taken", "refused", "words"),
    [
        ("test_vit", (160,), (96, 224), "its own 160 alone"),
        # It would spread the position of its one patch over all.
        ("vit_base_mci_224", (224,), (16,), "its own 224 alone"),
        ("test_resnet", (1, 33, 96, 160), (), "a size that leaves .* such as its own 160"),
        ("densenet121", (32, 33), (8, 16), "a size that leaves .* such as its own 224"),
        ("tresnet_m", (32, 224), (16, 33, 225), "a size that leaves .* such as its own 224"),
    ],
)
def test_sizes_of_images_that_a_model_takes(
    name: str, taken: tuple[int, ...], refused: tuple[int, ...], words: str
) -> None:
    sizes = find_backbone(f"timm:{name}").image_sizes
    assert [side for side in (*taken, *refused) if sizes.hold(side)] == list(taken)
    assert re.fullmatch(words, sizes.words)


def test_an_empty_map_is_none() -> None:
    module = TimmBackbone("test_vit")
    features = module.trunk.num_features
    assert module.gives_map(torch.zeros(1, 2, features))
    assert not module.gives_map(torch.zeros(1, 1, features))  # the class token alone


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("fixed = {image_size = 96}", "fixed.image_size: found 96"),
        ("search = {image_size = [160, 192]}", "search.image_size: found 192"),
        (
            "search = {image_size = {low = 96, high = 160}}",
            "search.image_size: found 96 of 96 to 160",
        ),
    ],
)
def test_a_size_that_a_model_cannot_take_is_refused_where_timm_is_installed(
    table: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "birds.toml"
    search = "" if table.startswith("search") else "search = {tau = [16, 24]}\n"
    path.write_text(
        'name = "birds"\ndataset = "folder:birds"\nbackbone = "timm:test_vit"\nepochs = 1\n'
        f'weights = "none"\ntrials = 1\n{search}{table}\n'
    )
    words = f"{line}, allowed: for timm:test_vit its own 160 alone"
    with pytest.raises(SpaceError) as error:
        load_space(str(path))
    assert str(error.value) == f"{path}: {words}"
    # Without timm here, the machine that trains refuses it.
    with monkeypatch.context() as here:
        here.setattr(known_backbones, "find_spec", lambda _name: None)
        space = load_space(str(path))
    with pytest.raises(SpaceError) as error:
        find_run_parts(space, tmp_path)
    assert str(error.value) == words


def test_a_space_with_a_model_that_timm_lacks_is_refused_where_timm_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "birds.toml"
    name = "timm:tf_efficientnet_lite9"
    space = (
        f'name = "birds"\ndataset = "folder:birds"\nbackbone = "{name}"\nepochs = EPOCHS\n'
        "trials = 12\nsearch = {tau = [16, 24]}\n"
    )
    path.write_text(space.replace("EPOCHS", "0"))
    with pytest.raises(SpaceError) as error:
        load_space(str(path))
    other, backbone = str(error.value).splitlines()
    assert other.startswith(f"{path}: epochs: found 0")
    assert backbone.startswith(
        f"{path}: backbone: backbone '{name}' isn't known: timm has no such model; similar are "
        "tf_efficientnet_lite"
    )
    path.write_text(space.replace("EPOCHS", "5"))
    monkeypatch.setattr(known_backbones, "find_spec", lambda _name: None)
    assert load_space(str(path)).backbone == name
