import zipfile
from pathlib import Path

import pytest
import torch

from histsearch.data.dataset import Dataset, load_dataset
from histsearch.data.hold_out import hold_out_classes
from histsearch.training.trainer import Trainer
from tests.conv4_runs import conv4_run

ARCHIVE = Path(__file__).parents[4] / "shared" / "data" / "omniglot_small1.zip"

pytestmark = pytest.mark.skipif(
    not ARCHIVE.is_file(), reason="needs Omniglot's images in shared/data beside the repository"
)

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def omniglot(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(root / "omniglot")
    return load_dataset("folder:omniglot", root)


def test_handwritten_characters_are_halved_by_class(omniglot: Dataset) -> None:
    assert (omniglot.train.num_classes, omniglot.test.num_classes) == (68, 68)
    assert (len(omniglot.train), len(omniglot.test)) == (1360, 1360)
    assert omniglot.train.class_names[0].endswith("Balinese/character01")
    assert omniglot.train.image(0).size == (105, 105)


def test_a_small_network_learns_to_tell_unseen_characters_apart(omniglot: Dataset) -> None:
    train, validation = hold_out_classes(omniglot.train, 0.25, 0)
    settings = conv4_run(
        3,
        {
            "embedding_size": 64,
            "hgnn_hidden": 64,
            "lr": 0.001,
            "lr_hgnn": 0.003,
            "bn_freeze": False,
        },
    )
    trainer = Trainer(
        settings,
        train,
        device=torch.device("cpu"),
    )
    epochs = list(trainer.epochs(validation))
    assert epochs[-1].loss < epochs[0].loss
    # 17 classes of 20 drawings: chance is 6%.
    assert epochs[-1].score is not None
    assert epochs[-1].score > 0.6
