import math
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from pydantic import Field, create_model
from torch import Tensor, nn

from histsearch.exceptions import SpaceError
from histsearch.losses.known_losses import find_loss
from histsearch.losses.loss_record import LossParameters, LossRecord
from histsearch.search.distributions import optuna_distributions
from histsearch.space.known_parameters import known_parameters
from histsearch.space.reading import load_space
from histsearch.space.space import Space
from histsearch.training.run_inputs import find_run_parts
from histsearch.training.single_run import configuration

START = """
name = "own"
dataset = "glyphs"
backbone = "conv4"
epochs = 1
trials = 4
"""


def load(tmp_path: Path, rest: str) -> Space:
    path = tmp_path / "space.toml"
    path.write_text(START + rest)
    return load_space(str(path))


def test_a_space_keeps_every_value_of_its_loss(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        """
        loss = { name = "pml:MultiSimilarityLoss", miner = "pml:MultiSimilarityMiner" }
        search = { alpha = [2, 4.5], "miner.epsilon" = { low = 0.05, high = 0.2 } }
        fixed = { images_per_class = 4 }
        """,
    )
    assert space.fixed == {"images_per_class": 4, "beta": 50, "base": 0.5}
    own = space.complete({"alpha": 4.5, "miner.epsilon": 0.1}).loss
    assert own == {"alpha": 4.5, "beta": 50, "base": 0.5, "miner.epsilon": 0.1}
    assert Space.model_validate(space.model_dump(mode="json")) == space


def test_a_range_with_whole_ends_holds_whole_numbers(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        """
        loss.name = "pml:SoftTripleLoss"
        search = { la = { low = 1, high = 9 }, gamma = { low = 0.1, high = 1 } }
        """,
    )
    space.check_configuration({"la": 3, "gamma": 0.25})
    with pytest.raises(SpaceError, match=r"la: found 3.5, allowed: 1 to 9"):
        space.check_configuration({"la": 3.5})


PAIRS = "fixed = { images_per_class = 2 }\nsearch = { lr = [1e-4, 1e-3] }\nloss.name = "

REFUSED = (
    ('loss.name = "pml:MarginLoss"\nsearch = { margin = [0.1, 0.2] }', (
        'images_per_class: found 0, allowed: at least 2, as the loss "pml:MarginLoss" compares',
    )),
    ('loss = { name = "pml:ArcFaceLoss", miner = "pml:HDCMiner" }\nsearch = { scale = [16, 64] }'
     "\nfixed = { images_per_class = 1 }", (
        'images_per_class: found 1, allowed: at least 2, as the loss "pml:ArcFaceLoss with',
    )),
    (PAIRS + '"pml:RankedListLoss"', (
        "fixed.margin: found nothing, allowed: a number; it has no default",
        "fixed.Tn: found nothing",
    )),
    ('loss.name = "pml:SupConLoss"\nfixed = { images_per_class = 2 }\nsearch = '
     '{ distance = ["cosine"], temprature = [1], "miner.margin" = [1] }', (
        'search: found "distance", allowed: numbers, words and switches; it takes an object',
        'search: found "temprature", allowed: did you mean "temperature"?',
        'search: found "miner.margin", allowed: ',
    )),
    ('loss = { name = "pml:SupConLoss", miner = "pml:HDCMiner" }\n[search]\n'
     "images_per_class = [2, 4]\nminer.filter_percentage = [0.5]", (
        'search: found "miner", allowed: names with a dot in quotes, as in "miner.filter_percen',
    )),
    ('loss.name = "pml:PNPLoss"\nfixed = { images_per_class = 2 }\n'
     'search = { variant = ["O", "Iu", "Dx"] }', (
        'search.variant: found "Dx", allowed: values that suit it, but pytorch-metric-learning '
        "can't build PNPLoss: ValueError: variant=Dx but must be one of",
    )),
    ('loss.name = "pml:MultiSimilarityLoss"\nfixed = { images_per_class = 2 }\n'
     "search = { alpha = { low = 0, high = 4 } }", (
        'search.alpha: found 0, allowed: values that suit it, but the loss '
        '"pml:MultiSimilarityLoss" can\'t be trained: ZeroDivisionError',
    )),
    ('loss.name = "pml:MultiSimilarityLoss"\nfixed = { images_per_class = 2, alpha = 0 }\n'
     "search = { beta = [40, 50] }", (
        "fixed.alpha: found 0, allowed: values that suit it, but",
    )),
    ('loss.name = "pml:NTXentLoss"\nfixed.images_per_class = 2\nsearch.temperature = [0]', (
        "search.temperature: found 0, allowed: values that suit it, but",
    )),
    ('loss.name = "pml:ArcFaceLoss"\nsearch.margin = [28.6, 1e308]', (
        "search.margin: found 1e+308, allowed: values that suit it, but",
    )),
    (PAIRS + '"pml:MarginLoss"\nloss.miner = "pml:Hard"', (
        'loss.miner: found the miner "pml:Hard", which pytorch-metric-learning hasn\'t',
    )),
    (PAIRS + '"pml:VICRegLoss"', (
        'loss.name: found the loss "pml:VICRegLoss", which compares a batch with a second one',
    )),
    (PAIRS + '"pml:InstanceLoss"\nloss.miner = "pml:HDCMiner"', (
        '"pml:InstanceLoss with pml:HDCMiner" can\'t be trained: ValueError: indices_tuple is not',
    )),
    ('loss.miner = "pml:HDCMiner"\nsearch = { tau = [16, 32] }', (
        'loss.miner: found "pml:HDCMiner", allowed: with a loss of pytorch-metric-learning alone',
    )),
    ('loss.name = "pml:MarginLoss"\nloss.alpha = 2\nsearch = { margin = [0.1, 0.2] }', (
        "loss.alpha: found an unknown key, allowed: name, miner",
    )),
)  # fmt: skip


@pytest.mark.parametrize(("rest", "lines"), REFUSED)
def test_what_a_loss_of_the_library_cannot_use_is_refused(
    tmp_path: Path, rest: str, lines: tuple[str, ...]
) -> None:
    with pytest.raises(SpaceError) as refusal:
        load(tmp_path, rest)
    assert len(refusal.value.lines) == len(lines)
    for found, expected in zip(refusal.value.lines, lines, strict=True):
        assert expected in found


class ScaleParameters(LossParameters):
    scale: float = Field(1.0, gt=0)
    count: int = Field(3, ge=1)
    mode: Literal["soft", "hard"] = "soft"


def add_loss(monkeypatch: pytest.MonkeyPatch, parameters: type[LossParameters]) -> None:
    """Let a package add a loss of these parameters under the name "scaled"."""
    record = LossRecord("scaled", parameters, _scaled, lambda *_: ())
    monkeypatch.setattr(ScaledLoss, "record", record, raising=False)
    entry = EntryPoint("scaled", f"{__name__}:ScaledLoss.record", "histsearch.losses")
    vars(entry)["dist"] = SimpleNamespace(name="acme", version="1.0")
    monkeypatch.setattr(
        "histsearch.extensions.entry_points",
        lambda group: [entry] if group == entry.group else [],
    )


class ScaledLoss(nn.Module):
    record: ClassVar[LossRecord[Any, Any]]

    def __init__(self, parameters: Any) -> None:
        super().__init__()
        self.scale = parameters.scale

    def forward(self, embeddings_ND: Tensor, _: Tensor) -> Tensor:
        loss: Tensor = self.scale * embeddings_ND.square().mean()
        return loss


def _scaled(parameters: Any, _classes: int, _size: int) -> ScaledLoss:
    return ScaledLoss(parameters)


def test_a_range_holds_what_the_field_of_a_foreign_loss_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_loss(monkeypatch, ScaleParameters)
    search = (
        "search = { scale = { low = 1, high = 3, step = 1 }, count = { low = 1, high = 3 } }\n"
        'loss.name = "scaled"'
    )
    stored = Space.model_validate(load(tmp_path, search).model_dump(mode="json"))
    distributions = optuna_distributions(stored)
    assert distributions["scale"] == FloatDistribution(1.0, 3.0, step=1.0)
    assert distributions["count"] == IntDistribution(1, 3)
    with pytest.raises(SpaceError, match=r"search.count: found 1.0, allowed: a whole number >= 1"):
        load(tmp_path, search.replace("count = { low = 1", "count = { low = 1.0"))


def test_what_a_foreign_parameter_may_be_is_said_without_a_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_loss(monkeypatch, ScaleParameters)
    known = known_parameters(ScaleParameters)
    assert known.allowed_values("scale") == "a number > 0"
    assert known.allowed_values("mode") == '"soft" or "hard"'
    space = load(tmp_path, 'loss.name = "scaled"\nsearch.mode = ["soft", "hard"]')
    assert space.fixed == {"scale": 1.0, "count": 3}


def test_a_range_too_wide_to_draw_from_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wide(ScaleParameters):
        shift: float = 0.0

    add_loss(monkeypatch, Wide)
    with pytest.raises(SpaceError, match=r"search.shift: found .*a range whose width is finite"):
        load(
            tmp_path,
            'loss.name = "scaled"\nsearch.shift = { low = -1.7e308, high = 1.7e308 }',
        )


def test_a_default_that_a_study_cannot_keep_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listing(ScaleParameters):
        xs: tuple[int, ...] = (1,)
        most: float = math.inf
        ys: int = Field(default_factory=lambda: 1)

    add_loss(monkeypatch, Listing)
    with pytest.raises(SpaceError) as refusal:
        load(tmp_path, 'loss.name = "scaled"\nsearch.scale = [1.0, 2.0]')
    for line, fault in zip(
        refusal.value.lines,
        ("xs has the default [1]", "most has the default inf", "ys has a default_factory"),
        strict=True,
    ):
        assert f'the loss "scaled" of the package acme, whose parameter {fault}' in line


CHANGES = (
    ({"needed": (float, Field())}, "fixed.needed: found nothing, allowed: a number"),
    ({"scale": (float, Field(1.0, lt=2))}, "search.scale: found 3.0, allowed: a number < 2"),
    ({"mode": (Literal["soft"], "soft")}, 'search.mode: found "hard", allowed: "soft"'),
)


@pytest.mark.parametrize(("fields", "fault"), CHANGES)
def test_a_study_whose_loss_has_changed_is_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], fault: str
) -> None:
    add_loss(monkeypatch, ScaleParameters)
    space = load(
        tmp_path,
        'loss.name = "scaled"\n[search]\nscale = { low = 1, high = 3 }\nmode = ["soft", "hard"]',
    )
    find_run_parts(space, tmp_path)
    changed = create_model("Changed", __base__=ScaleParameters, **fields)
    add_loss(monkeypatch, changed)
    with pytest.raises(SpaceError, match="install the version of its package") as refusal:
        find_run_parts(space, tmp_path)
    assert f"({fault})" in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"images_per_class": 0}, "images_per_class: found 0, allowed: at least 2"),
        ({"alpha": 0}, "alpha = 0, .*allowed: values that suit the loss.*ZeroDivisionError"),
        ({"batch_size": 3}, "does not divide"),
    ],
)
def test_values_of_one_run_are_tried_too(
    tmp_path: Path, values: dict[str, Any], fault: str
) -> None:
    name = "pml:MultiSimilarityLoss"
    space = load(tmp_path, PAIRS + f'"{name}"')
    assert configuration(space, {"alpha": 3}, find_loss(name)) == {"alpha": 3}
    with pytest.raises(SpaceError, match=fault):
        configuration(space, values, find_loss(name))
