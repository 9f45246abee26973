"""Workers and commands on machines that lack a package which a study needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError
from histsearch.space.reading import load_space
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.study import Study
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.workers.test_worker import settings

SPACE = """
name = "pairs"
dataset = "folder:stripes"
backbone = "conv4"
epochs = 1
trials = 1
sampler = "random"

[loss]
name = "pml:MultiSimilarityLoss"
miner = "pml:MultiSimilarityMiner"

[search]
"miner.epsilon" = { low = 0.05, high = 0.2 }

[fixed]
alpha = 3
batch_size = 8
images_per_class = 4
embedding_size = 16
"""

WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages}:
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Absent())
from histsearch.cli.main import app, main
"""
WORK = WITHOUT.format(packages=["pytorch_metric_learning"]) + "main()"
LOOK = (
    WITHOUT.format(packages=["pytorch_metric_learning", "torch"])
    + """
for command in ("list", "show pairs", "set pairs trials=2"):
    app(["study", *command.split()], standalone_mode=False)
"""
)


@pytest.fixture
def study(storage: Storage, tmp_path: Path) -> Study:
    path = tmp_path / "pairs.toml"
    path.write_text(SPACE)
    return create_search(storage, load_space(str(path)))


def command(
    storage: Storage, data_dir: Path, program: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "HISTSEARCH_STORAGE": storage.url.render_as_string(hide_password=False),
            "HISTSEARCH_DATA": str(data_dir),
        },
    )


def test_a_machine_without_the_library_shows_a_study_and_leaves_it_to_others(
    storage: Storage, study: Study, data_dir: Path
) -> None:
    shown = command(storage, data_dir, LOOK)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "miner.epsilon" in shown.stdout
    assert "loss pml:MultiSimilarityLoss with pml:MultiSimilarityMiner, " in shown.stdout
    left = command(
        storage, data_dir, WORK, "worker", "--device", "cpu", "--drain", "--threads", "1"
    )
    needs = (
        'found the loss "pml:MultiSimilarityLoss", which needs pytorch-metric-learning; '
        "pip install 'histsearch[pml]'"
    )
    assert left.returncode == 2
    assert needs in left.stderr
    assert study.count() == 0
    assert list(study.left_by.values()) == [needs]
    run_worker(storage, settings(data_dir), StopRequest())
    assert study.count(TrialState.COMPLETE) == 2
    versions = study.trials()[0].user_attrs[trial_record.VERSIONS]
    (provider,) = study.definition.providers
    assert versions["pytorch-metric-learning"] == provider.version


def test_creation_without_the_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pairs.toml"
    path.write_text(SPACE)
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    monkeypatch.delitem(sys.modules, "histsearch.losses.library_losses", raising=False)
    with pytest.raises(SpaceError, match=r"pip install 'histsearch\[pml\]'"):
        load_space(str(path))
