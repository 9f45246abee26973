import errno
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from histsearch.exceptions import SpaceError, WeightsError
from histsearch.models.checkpoint import load_checkpoint, save_checkpoint
from histsearch.models.digest import DamagedError, check_digest, save_with_digest
from histsearch.models.known_backbones import find_backbone
from histsearch.models.network import EmbeddingNetwork, build_network

pytestmark = pytest.mark.usefixtures("short_networks")

EXTRA = {"study": "cub", "trial": 7, "hyperparameters": {"tau": 16.0, "bn_freeze": True}}


@pytest.fixture(scope="module")
def conv4() -> EmbeddingNetwork:
    torch.manual_seed(0)
    network = build_network(find_backbone("conv4"), 4, weights="none")
    network(torch.randn(8, 3, 32, 32))
    return network


def save_conv4(path: Path, network: EmbeddingNetwork, **extra: Any) -> None:
    backbone = find_backbone("conv4")
    save_checkpoint(
        path,
        network,
        backbone=backbone,
        preprocessing=backbone.preprocessing,
        embedding_size=4,
        extra=extra,
    )


@pytest.fixture(scope="module")
def saved(conv4: EmbeddingNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint to read: each save waits for the disk."""
    path = tmp_path_factory.mktemp("saved") / "7.pt"
    save_conv4(path, conv4)
    return path


def test_what_the_loss_learned_comes_back_too(conv4: EmbeddingNetwork, tmp_path: Path) -> None:
    path = tmp_path / "7.pt"
    loss_state = {"proxies": torch.randn(3, 4)}
    save_checkpoint(
        path,
        conv4,
        backbone=find_backbone("conv4"),
        preprocessing=find_backbone("conv4").preprocessing,
        embedding_size=4,
        extra={},
        loss_state=loss_state,
    )
    assert torch.equal(load_checkpoint(path).loss_state["proxies"], loss_state["proxies"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def published(backbone: str, embedding_size: int) -> dict[str, Tensor]:
    """Return tensors under the keys that the reference implementation saves."""
    state = build_network(find_backbone(backbone), embedding_size, weights="none").state_dict()
    # One stored element a tensor keeps the file small.
    numbered = {
        key: torch.tensor(float(number)).expand(tensor.shape)
        for number, (key, tensor) in enumerate(state.items(), start=1)
    }
    classifier = "model.fc.weight" if backbone == "resnet50" else "model.last_linear.weight"
    return numbered | {classifier: torch.zeros(1000, 1)}


def test_a_saved_network_comes_back_with_its_description(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "7.pt"
    save_conv4(path, conv4, **EXTRA)
    checkpoint = load_checkpoint(path)
    assert (checkpoint.backbone, checkpoint.embedding_size) == ("conv4", 4)
    assert checkpoint.preprocessing == find_backbone("conv4").preprocessing
    assert checkpoint.metadata == EXTRA
    assert not checkpoint.network.training
    images_N3HW = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(
            checkpoint.network(images_N3HW), conv4.eval()(images_N3HW), rtol=0, atol=0
        )


def test_torch_reads_a_checkpoint_without_running_code(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    save_conv4(tmp_path / "7.pt", conv4, **EXTRA)
    content = torch.load(tmp_path / "7.pt", weights_only=True)
    assert content["model_state_dict"].keys() == conv4.state_dict().keys()
    assert content["histsearch"]["preprocessing"]["crop"] == 32
    assert content["histsearch"]["trial"] == 7


def test_a_checkpoint_can_start_another_training(conv4: EmbeddingNetwork, tmp_path: Path) -> None:
    save_conv4(tmp_path / "7.pt", conv4)
    started = build_network(find_backbone("conv4"), 4, weights=str(tmp_path / "7.pt")).state_dict()
    assert all(torch.equal(started[key], tensor) for key, tensor in conv4.state_dict().items())


def test_a_checkpoint_replaces_the_one_of_its_name_and_leaves_nothing_else(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    save_conv4(tmp_path / "7.pt", conv4, trial=1)
    save_conv4(tmp_path / "7.pt", conv4, trial=2)
    assert load_checkpoint(tmp_path / "7.pt").metadata == {"trial": 2}
    assert names(tmp_path) == ["7.pt"]


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files can't grow beyond 4 kB."""
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX's")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_cannot_be_finished_leaves_the_old_one(
    conv4: EmbeddingNetwork, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    save_conv4(tmp_path / "7.pt", conv4, trial=1)
    request.getfixturevalue("full_disk")
    with pytest.raises(WeightsError, match=r"7\.pt' can't be written: .* has room"):
        save_conv4(tmp_path / "7.pt", conv4, trial=2)
    assert load_checkpoint(tmp_path / "7.pt").metadata == {"trial": 1}
    assert names(tmp_path) == ["7.pt"]


def test_metadata_that_could_not_be_read_back_is_refused(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"extra can't be saved: .*Path"):
        save_conv4(tmp_path / "7.pt", conv4, folder=Path())
    assert names(tmp_path) == []


@pytest.mark.parametrize(("backbone", "size"), [("resnet50", 6), ("bn_inception", 5)])
def test_a_published_checkpoint_tells_its_backbone_by_its_keys(
    backbone: str, size: int, tmp_path: Path
) -> None:
    state = published(backbone, size)
    torch.save({"model_state_dict": state}, tmp_path / "published.pth")
    checkpoint = load_checkpoint(tmp_path / "published.pth")
    assert (checkpoint.backbone, checkpoint.embedding_size) == (backbone, size)
    assert checkpoint.preprocessing == find_backbone(backbone).preprocessing
    assert checkpoint.metadata == {}
    loaded = checkpoint.network.state_dict()
    floats = [key for key in loaded if not key.endswith("num_batches_tracked")]
    assert all(torch.equal(loaded[key], state[key]) for key in floats)


def test_a_backbone_can_be_named_where_the_file_does_not_tell_it(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    torch.save(conv4.state_dict(), tmp_path / "state.pth")
    with pytest.raises(WeightsError, match=r"doesn't tell its backbone.*resnet50 or bn_inception"):
        load_checkpoint(tmp_path / "state.pth")
    assert load_checkpoint(tmp_path / "state.pth", "conv4").embedding_size == 4


def test_another_backbone_than_the_one_asked_for_is_refused(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    save_conv4(tmp_path / "7.pt", conv4)
    with pytest.raises(WeightsError, match="has the backbone conv4, not resnet50"):
        load_checkpoint(tmp_path / "7.pt", "resnet50")


def test_a_file_of_a_backbone_alone_is_refused(conv4: EmbeddingNetwork, tmp_path: Path) -> None:
    state = {k: t for k, t in conv4.state_dict().items() if not k.startswith("model.embedding.")}
    torch.save({"model_state_dict": state}, tmp_path / "backbone.pth")
    with pytest.raises(WeightsError, match="has no embedding layer"):
        load_checkpoint(tmp_path / "backbone.pth")


def test_a_published_checkpoint_of_another_depth_is_refused(tmp_path: Path) -> None:
    state = published("resnet50", 4) | {"model.layer3.6.conv1.weight": torch.zeros(1)}
    torch.save({"model_state_dict": state}, tmp_path / "deeper.pth")
    with pytest.raises(WeightsError, match=r"deeper\.pth' don't fit resnet50: 1 unexpected keys"):
        load_checkpoint(tmp_path / "deeper.pth")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"missing\.pt' can't be read: .*No such file"):
        load_checkpoint(tmp_path / "missing.pt")
    (tmp_path / "text.pt").write_text(json.dumps(EXTRA))
    with pytest.raises(WeightsError, match=r"text\.pt' can't be read"):
        load_checkpoint(tmp_path / "text.pt")


def test_a_file_that_can_hold_nothing_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="can't be read: it's a folder"):
        load_checkpoint(tmp_path)
    (tmp_path / "empty.pt").touch()
    with pytest.raises(WeightsError, match=r"empty\.pt' can't be read: it's empty"):
        load_checkpoint(tmp_path / "empty.pt")
    os.mkfifo(tmp_path / "pipe.pt")  # nobody writes to it, so reading would wait for ever
    with pytest.raises(WeightsError, match=r"pipe\.pt' can't be read: it's no regular file"):
        load_checkpoint(tmp_path / "pipe.pt")


@pytest.mark.parametrize("place", [0.02, 0.5, 0.98, -60, -80, -101])
def test_one_flipped_bit_of_a_model_is_noticed(
    conv4: EmbeddingNetwork, tmp_path: Path, place: float
) -> None:
    path = tmp_path / "7.pt"
    save_conv4(path, conv4, **EXTRA)
    assert load_checkpoint(path).has_digest
    content = bytearray(path.read_bytes())
    content[int(place * len(content)) if 0 < place < 1 else int(place)] ^= 1
    path.write_bytes(content)
    for load in (
        load_checkpoint,
        lambda path: build_network(find_backbone("conv4"), 4, weights=str(path)),
    ):
        with pytest.raises(WeightsError, match=r"7\.pt' (is damaged|can't be read)"):
            load(path)


def test_no_flipped_bit_anywhere_in_a_file_goes_unnoticed() -> None:
    archive = io.BytesIO()
    save_with_digest({"weight": torch.ones(2)}, archive)
    whole = archive.getvalue()
    assert check_digest(io.BytesIO(whole))
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        if _carries_a_digest(bytes(flipped)):
            # What was taken for a file without a digest is none that torch reads.
            with pytest.raises(RuntimeError):
                torch.load(io.BytesIO(flipped), weights_only=True)


def test_a_file_that_cannot_be_written_is_told_by_its_own_error() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() > 1000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        save_with_digest([torch.ones(1000) for _ in range(5)], Full())


def _carries_a_digest(content: bytes) -> bool:
    """Whether the digest passes, or is taken for absent."""
    try:
        check_digest(io.BytesIO(content))
    except DamagedError:
        return False
    return True


@pytest.mark.parametrize("change", [lambda whole: whole[:-1], lambda whole: whole + b"\n"])
def test_a_file_that_was_cut_or_added_to_is_damaged(
    conv4: EmbeddingNetwork, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "7.pt"
    save_conv4(path, conv4)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(WeightsError, match=r"7\.pt' is damaged: its digest isn't"):
        load_checkpoint(path)


def test_a_digest_stays_in_copies_and_the_archive_stays_an_ordinary_one(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    save_conv4(tmp_path / "7.pt", conv4)
    (tmp_path / "renamed.bin").write_bytes((tmp_path / "7.pt").read_bytes())
    assert load_checkpoint(tmp_path / "renamed.bin").has_digest
    with zipfile.ZipFile(tmp_path / "7.pt") as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_without_a_digest_is_read_as_before(
    conv4: EmbeddingNetwork, tmp_path: Path, zipped: bool
) -> None:
    save_conv4(tmp_path / "7.pt", conv4, **EXTRA)
    content = torch.load(tmp_path / "7.pt", weights_only=True)
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=zipped)
    checkpoint = load_checkpoint(tmp_path / "old.pt")
    assert (checkpoint.has_digest, checkpoint.metadata) == (False, EXTRA)


def save_changed(path: Path, saved: Path, change: Callable[[Any], None]) -> None:
    """Save a checkpoint as a stranger may have written it."""
    content = torch.load(saved, weights_only=True)
    change(content)
    torch.save(content, path)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"embedding_size": "large"}, "embedding_size = 'large': "),
        ({"embedding_size": 1}, "embedding_size = 1: .* 2"),
        ({"embedding_size": 10**12}, "embedding_size = 1000000000000: .* 65536"),
        ({"embedding_size": 10**100}, r"embedding_size = \(int\): "),
        ({"preprocessing": {"crop": 32}}, "preprocessing.resize = "),
        ({"backbone": None}, "backbone = "),
        ({"backbone": 10**6 * "x"}, f"backbone = '{40 * 'x'}': .* at most 100 characters; give"),
        ({"notes": torch.ones(2)}, r"notes = \(Tensor\): .* JSON"),
    ],
)
def test_a_damaged_description_is_refused(
    saved: Path, tmp_path: Path, change: dict[str, object], fault: str
) -> None:
    path = tmp_path / "7.pt"
    save_changed(path, saved, lambda content: content["histsearch"].update(change))
    expected = rf"description in checkpoint '.*7\.pt' can't be read: {fault}"
    with pytest.raises(WeightsError, match=expected) as error:
        load_checkpoint(path)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resize", 10**9),
        ("resize", 0),
        ("resize", 36.5),
        ("crop", 2049),
        ("crop", -1),
        ("mean", [0.5, 0.5]),
        ("mean", [0.5, 0.5, float("nan")]),
        ("std", [0.5, 0.5, 0.0]),
        ("std", [0.5, 0.5, float("inf")]),
        ("std", 10**4 * [0.5]),
        ("value_range", 0),
        ("value_range", float("inf")),
        ("min_crop_area", 0.0),
        ("min_crop_area", 1.5),
        ("channel_order", "cmyk"),
        ("interpolation", 3),
    ],
)
def test_preprocessing_that_no_image_survives_is_refused_by_its_field(
    saved: Path, tmp_path: Path, field: str, value: object
) -> None:
    path = tmp_path / "7.pt"
    save_changed(path, saved, lambda c: c["histsearch"]["preprocessing"].update({field: value}))
    with pytest.raises(
        WeightsError, match=rf"7\.pt' can't be read: preprocessing\.{field}"
    ) as error:
        load_checkpoint(path)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("weight", "fault"),
    [
        (torch.tensor(1.0), r"of shape \(\)"),
        (torch.ones(1, 128), r"of shape \(1, 128\) .* 2 to 65536 elements"),
        # A tensor that repeats one stored element is as small as a file, and as large as it likes.
        (torch.ones(1, 1).expand(10**12, 128), r"of shape \(1000000000000, 128\)"),
        (torch.ones(4, 128).to_sparse(), "don't fit conv4: 1 tensors that don't hold real numbers"),
        (torch.ones(4, 128, device="meta"), "1 tensors that don't hold real numbers"),
        (torch.ones(4, 128, dtype=torch.complex64), "1 tensors that don't hold real numbers"),
    ],
)
def test_tensors_that_no_network_could_take_are_refused(
    saved: Path, tmp_path: Path, weight: Tensor, fault: str
) -> None:
    path = tmp_path / "7.pt"
    key = "model.embedding.weight"
    save_changed(path, saved, lambda content: content["model_state_dict"].update({key: weight}))
    with pytest.raises(WeightsError, match=fault) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value)


def test_a_file_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"model_state_dict": {"weight": torch.zeros(10**6)}}, content)
    path = tmp_path / "7.pt"
    with zipfile.ZipFile(content) as plain, zipfile.ZipFile(path, "w") as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match=r"7\.pt' can't be read: it's compressed"):
        load_checkpoint(path)


def test_a_pickle_that_leads_torch_astray_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "7.pt"
    torch.save({"weight": torch.ones(3)}, path)
    # The storage's type, "FloatStorage", becomes a global of another kind.
    with zipfile.ZipFile(path) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as changed:
        for name, member in members.items():
            astray = member.replace(b"torch\nFloatStorage", b"torch\nSize")
            changed.writestr(name, astray)
    with pytest.raises(WeightsError, match=r"7\.pt' can't be read: it's damaged"):
        load_checkpoint(path)


def test_an_unknown_backbone_in_a_checkpoint_is_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "7.pt"
    save_changed(path, saved, lambda content: content["histsearch"].update(backbone="vgg"))
    with pytest.raises(SpaceError, match="'vgg' isn't known"):
        load_checkpoint(path)
