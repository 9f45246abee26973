"""The examples of docs/extending.md, as a reader would use them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

import histsearch
from histsearch.database.storage import Storage
from histsearch.space.reading import load_space
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.workers.test_worker import settings

REPOSITORY = Path(histsearch.__file__).parents[1]
PAGE = (REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")

SAMPLE = """
import optuna
import torch
from histsearch.retrieval.measurement import measure
from histsearch.search.sampler import build_sampler
from histsearch.space.reading import parse_space
space = parse_space(
    {"name": "own", "dataset": "glyphs", "backbone": "conv4", "epochs": 1, "trials": 1,
     "sampler": "genetic", "protocol": {"objective": "reciprocal_rank"},
     "search": {"tau": {"low": 8, "high": 32}}},
    source="test",
)
study = optuna.create_study(sampler=build_sampler(space, 0))
study.optimize(lambda trial: trial.suggest_float("tau", 8, 32), n_trials=3)
embeddings_ND = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
measured = measure([space.protocol.metric], embeddings_ND, torch.tensor([0, 1, 0]))
print(type(study.sampler).__name__, space.pruner.name, measured["reciprocal_rank"])
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, each named in its first line."""
    folder = tmp_path_factory.mktemp("package")
    for text in (*blocks("toml"), *blocks("python")):
        path = folder / text.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / "acme" / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    options = "--quiet --no-deps --no-build-isolation --no-index --target"
    pip = [sys.executable, "-m", "pip", "install", *options.split()]
    subprocess.run([*pip, folder, package], check=True)
    return folder


def test_a_study_of_a_package_is_served_where_the_package_is(
    storage: Storage,
    package: Path,
    installed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as there:
        there.syspath_prepend(installed)
        study = create_search(storage, load_space(str(package / "acme.toml")))
    assert {one.package for one in study.definition.providers} == {"acme"}

    environment = {
        **os.environ,
        "HISTSEARCH_STORAGE": storage.url.render_as_string(hide_password=False),
        "HISTSEARCH_DATA": str(tmp_path),
    }
    elsewhere = subprocess.run(
        [sys.executable, "-m", "histsearch", "worker", "--device", "cpu", "--drain"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lack = 'found the loss "centre", which needs acme 1.0; pip install "acme==1.0"'
    assert elsewhere.returncode == 2
    assert lack in elsewhere.stderr
    assert list(study.left_by.values()) == [lack]

    with monkeypatch.context() as there:
        there.syspath_prepend(installed)
        run_worker(storage, settings(tmp_path), StopRequest())
    (trial,) = study.trials(TrialState.COMPLETE)
    assert trial.params["scale"] in (5.0, 10.0)
    assert trial.user_attrs[trial_record.VERSIONS]["acme"] == "1.0"


def test_a_metric_and_a_sampler_are_added_by_the_changes_on_the_page(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "histsearch", tmp_path / "histsearch")
    metric, sampler = blocks("diff")
    for change in (metric, sampler):
        subprocess.run(["git", "apply", "-"], input=change, text=True, cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    # The first image's other one is its nearest, the third's its second; the second has none.
    assert done.stdout.split() == ["NSGAIISampler", "median", "0.5"]
