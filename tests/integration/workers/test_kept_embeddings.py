"""What a retraining records and keeps beside R@K and its model."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState
from PIL import Image
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.data.cache_contents import kept_forms
from histsearch.data.dataset import load_dataset
from histsearch.data.image_cache import ImageCache
from histsearch.database.storage import Storage
from histsearch.exceptions import CheckpointError, StudyError
from histsearch.models.checkpoint import load_checkpoint
from histsearch.models.transforms import EvaluationCrop, Normalisation
from histsearch.reports.evaluation import evaluate_model
from histsearch.retrieval.known_metrics import recall_at
from histsearch.studies import trial_record
from histsearch.studies.embeddings_file import EmbeddingsFile, LabelledImages
from histsearch.studies.retraining import create_retraining
from histsearch.studies.store_keys import embeddings_key, model_key
from histsearch.studies.study import Study
from histsearch.studies.trial_embeddings import trial_embeddings
from histsearch.training.checkpoint_store import CheckpointStore, Fill
from histsearch.training.progress_display import NoDisplay, Phase
from histsearch.workers.settings import WorkerSettings
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.workers.test_worker import create, settings


@pytest.fixture
def own_data(data_dir: Path, tmp_path: Path) -> Path:
    """A folder of data sets of the test's own, which its checkpoints lie in too."""
    shutil.copytree(data_dir / "stripes", tmp_path / "stripes")
    return tmp_path


def searched(storage: Storage, stripes: dict[str, Any], with_: WorkerSettings) -> Study:
    """A search that has ended, whose runs are as short as can be and don't find every image."""
    fixed = stripes["fixed"] | {"embedding_size": 3, "lr": 1e-4}
    study = create(storage, stripes, trials=1, epochs=1, fixed=fixed)
    run_worker(storage, with_, StopRequest())
    return study


def retrained(search: Study, with_: WorkerSettings) -> tuple[Study, FrozenTrial]:
    """A retraining of one run that has ended, and that run's trial."""
    retraining = create_retraining(search, seeds=1)
    run_worker(search.storage, with_, StopRequest())
    (trial,) = retraining.trials()
    assert trial.state == TrialState.COMPLETE
    return retraining, trial


def invoke(storage: Storage, *arguments: str) -> str:
    url = storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, [*arguments, "--storage", url], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_recorded_figures_are_those_that_evaluate_prints_for_the_model(
    storage: Storage, stripes: dict[str, Any], own_data: Path
) -> None:
    retraining, trial = retrained(
        searched(storage, stripes, settings(own_data)), settings(own_data)
    )
    recall = trial.user_attrs[trial_record.RECALL]
    recorded = {recall_at(int(k)).label: value for k, value in recall.items()}
    recorded |= trial.user_attrs[trial_record.FIGURES]
    assert list(recorded)[-3:] == ["NMI", "R-Precision", "MAP@R"]
    assert 0 < recorded["MAP@R"] < recorded["R-Precision"] < recorded["R@1"] < 1
    model = load_checkpoint(Path(trial.user_attrs[trial_record.CHECKPOINT]))
    figures = evaluate_model(
        model,
        load_dataset("folder:stripes", own_data),
        "its model",
        device="cpu",
        loader_processes=0,
    )
    assert {label: 100 * value for label, value in recorded.items()} == figures

    printed = invoke(
        storage,
        *("evaluate", "--checkpoint", f"{retraining.name}/0"),
        *("--data", str(own_data), "--device", "cpu", "--threads", "1"),
    )
    header, row = (line.split() for line in printed.splitlines())
    assert dict(zip(header, row[1:], strict=True)) == {
        label: f"{100 * value:.1f}" for label, value in recorded.items()
    }


def embedded(trial: FrozenTrial, paths: list[Path]) -> np.ndarray[Any, Any]:
    """The embeddings of image files by a trial's model, each as a test image."""
    model = load_checkpoint(Path(trial.user_attrs[trial_record.CHECKPOINT]))
    crop = EvaluationCrop(model.preprocessing)
    crops_NHW3 = np.stack([np.array(crop(Image.open(path).convert("RGB"))) for path in paths])
    normalised = Normalisation(model.preprocessing, torch.device("cpu"))
    model.network.eval()
    with torch.no_grad():
        embeddings: torch.Tensor = model.network(normalised(torch.from_numpy(crops_NHW3)))
    return embeddings.numpy()


def check_part(part: LabelledImages, trial: FrozenTrial, data_dir: Path) -> None:
    """Make sure that each embedding, label and path is of the same image."""
    assert [part.class_names[label] for label in part.label_N] == [
        Path(path).parent.name for path in part.path_N
    ]
    expected_ND = embedded(trial, [data_dir / path for path in part.path_N])
    np.testing.assert_allclose(part.embedding_ND, expected_ND, rtol=2e-3, atol=1e-4)


def check_nearest(kept: EmbeddingsFile) -> None:
    """Make sure that the nearest are those by the kept embeddings, but for float16's digits."""
    queries_ND, ranked_MD = (
        part.embedding_ND.astype(np.float64)
        / np.linalg.norm(part.embedding_ND.astype(np.float64), axis=1, keepdims=True)
        for part in (kept.queries, kept.ranked)
    )
    similarity_NM = queries_ND @ ranked_MD.T
    if kept.gallery is None:
        np.fill_diagonal(similarity_NM, -np.inf)
    best_N5 = -np.sort(-similarity_NM, axis=1)[:, :5]
    found_N5 = np.take_along_axis(similarity_NM, kept.nearest_N5.astype(np.int64), axis=1)
    np.testing.assert_allclose(found_N5, best_N5, atol=1e-2)


def test_embeddings_are_kept_beside_the_model_and_go_with_the_study(
    storage: Storage, stripes: dict[str, Any], own_data: Path
) -> None:
    with_cache = replace(settings(own_data), image_cache=ImageCache(own_data / "images"))
    retraining, trial = retrained(searched(storage, stripes, with_cache), with_cache)
    place = Path(with_cache.checkpoints) / embeddings_key(retraining, 0)
    assert trial.user_attrs[trial_record.EMBEDDINGS] == str(place)
    kept = trial_embeddings(trial)
    assert (kept.dataset, kept.gallery) == ("folder:stripes", None)
    assert (len(kept.queries), len(kept.train)) == (48, 48)
    check_part(kept.queries, trial, own_data)
    check_part(kept.train, trial, own_data)
    check_nearest(kept)
    assert kept.hit_N.mean() == trial.user_attrs[trial_record.RECALL]["1"] == trial.value
    assert np.mean(list(kept.class_recall().values())) == pytest.approx(trial.value)
    # The sample is in no cache in the form of test images; those of search and retraining are.
    assert [(one.form, one.images) for one in kept_forms(own_data / "images")] == [
        ("crop-36-32-bilinear", 16 + 48),
        ("whole", 48),
    ]

    model = Path(with_cache.checkpoints) / model_key(retraining, 0)
    told = invoke(
        storage,
        "study",
        "delete",
        retraining.name,
        "--yes",
        "--checkpoints",
        with_cache.checkpoints,
    )
    assert f"its models stay in {with_cache.checkpoints}" in told
    assert (place.exists(), model.exists()) == (False, True)
    with pytest.raises(StudyError, match="unless it was removed since"):
        trial_embeddings(trial)


def test_images_that_were_skipped_leave_labels_and_places_right(
    storage: Storage, stripes: dict[str, Any], own_data: Path
) -> None:
    for name in ("class01/3.png", "class07/0.png", "class07/5.png"):
        (own_data / "stripes" / name).write_bytes(b"no image")
    shutil.rmtree(own_data / "stripes" / "class08")
    (own_data / "stripes" / "class08").mkdir()
    (own_data / "stripes" / "class08" / "0.png").write_bytes(b"no image")
    stripes |= {"on_bad_image": "skip"}
    _, trial = retrained(searched(storage, stripes, settings(own_data)), settings(own_data))
    kept = trial_embeddings(trial)
    assert (len(kept.train), len(kept.queries)) == (47, 38)
    check_part(kept.train, trial, own_data)
    check_part(kept.queries, trial, own_data)
    check_nearest(kept)
    assert kept.hit_N.mean() == trial.value
    assert list(kept.class_recall()) == ["class06", "class07", "class09", "class10", "class11"]


def test_embeddings_that_cannot_be_kept_cost_no_figures(
    storage: Storage,
    stripes: dict[str, Any],
    own_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_from = CheckpointStore.write_from

    def refuse(store: CheckpointStore, key: str, fill: Fill) -> None:
        if key.endswith(".npz"):
            raise CheckpointError("no such luck")
        write_from(store, key, fill)

    search = searched(storage, stripes, settings(own_data))
    monkeypatch.setattr(CheckpointStore, "write_from", refuse)
    _, trial = retrained(search, settings(own_data))
    assert "the embeddings can't be kept: no such luck" in caplog.text
    assert trial.user_attrs[trial_record.FIGURES].keys() == {"NMI", "R-Precision", "MAP@R"}
    assert Path(trial.user_attrs[trial_record.CHECKPOINT]).is_file()
    with pytest.raises(StudyError, match="its worker couldn't write them"):
        trial_embeddings(trial)


class StepsOfPhases(NoDisplay):
    """Counts the steps of each phase, of which the watch over the work is told too."""

    def __init__(self) -> None:
        self.steps: Counter[str] = Counter()
        self._name = ""

    def begin(self, phase: Phase) -> None:
        self._name = phase.name

    def step(self) -> None:
        self.steps[self._name] += 1


def test_a_long_clustering_does_not_look_like_work_that_hangs(
    storage: Storage, stripes: dict[str, Any], own_data: Path
) -> None:
    display = StepsOfPhases()
    search = searched(storage, stripes, settings(own_data))
    retrained(search, replace(settings(own_data), display=display))
    # Ten clusterings into six: their starts, and two assignments at least.
    assert display.steps["clustering the test images"] >= 10 * (5 + 2)
    assert display.steps["embedding a sample of the training images"] == 1


class AtPhase(NoDisplay):
    """Calls something once, as a phase begins."""

    def __init__(self, name: str, call: Callable[[], object]) -> None:
        self._name = name
        self._call = call

    def begin(self, phase: Phase) -> None:
        if phase.name == self._name:
            self._name = ""
            self._call()


PHASES = [
    "clustering the test images",
    "embedding a sample of the training images",
    "saving its embeddings",
]


@pytest.mark.parametrize("phase", PHASES[:2])
def test_a_worker_that_is_stopped_after_the_test_leaves_its_trial_to_another(
    storage: Storage, stripes: dict[str, Any], own_data: Path, phase: str
) -> None:
    search = searched(storage, stripes, settings(own_data))
    retraining = create_retraining(search, seeds=1)
    stop = StopRequest()
    display = AtPhase(phase, lambda: stop._handle(15, None))
    run_worker(storage, replace(settings(own_data), display=display), stop)
    (trial,) = retraining.trials()
    assert trial.state == TrialState.WAITING
    assert trial_record.EMBEDDINGS not in trial.user_attrs

    run_worker(storage, settings(own_data), StopRequest())
    (trial,) = retraining.trials()
    assert trial.state == TrialState.COMPLETE
    assert trial_embeddings(trial).hit_N.mean() == trial.value


@pytest.mark.parametrize("phase", PHASES)
def test_a_trial_that_crashed_after_its_test_is_tried_again(
    storage: Storage, stripes: dict[str, Any], own_data: Path, phase: str
) -> None:
    def crash() -> None:
        raise ZeroDivisionError("a crash")

    search = searched(storage, stripes, settings(own_data))
    retraining = create_retraining(search, seeds=1)
    display = AtPhase(phase, crash)
    run_worker(storage, replace(settings(own_data), display=display), StopRequest())
    (trial,) = retraining.trials()
    assert trial.state == TrialState.COMPLETE
    assert "a crash" in str(trial.user_attrs[trial_record.RETRIES])
    assert trial_embeddings(trial).hit_N.mean() == trial.value
    folder = (own_data / "checkpoints" / model_key(retraining, 0)).parent
    assert sorted(path.name for path in folder.iterdir()) == ["0.npz", "0.pt"]
