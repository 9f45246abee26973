from pathlib import Path

import pytest

from histsearch.exceptions import SpaceError
from histsearch.space.reading import load_space
from histsearch.space.space import Space

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
        'loss.name: found "pml:MultiSimilarityLoss", allowed: values that suit it, but the loss '
        '"pml:MultiSimilarityLoss" can\'t be trained: ZeroDivisionError',
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
