"""Trials that a worker of another user has begun, with checkpoints in a folder of their group."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from histsearch.data.dataset import Dataset, load_dataset
from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from tests.integration.database.relay import relayed
from tests.integration.workers.test_trial_runner import (
    run_next,
    run_until_stopped,
    stored,
    study_of,
)
from tests.privileges import (
    ALICE,
    BOB,
    acting_as,
    make_group_folder,
    needs_root,
    open_folder,
)
from tests.stripes import draw_stripes


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may read."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def dataset(place: Path) -> Dataset:
    draw_stripes(place)
    return load_dataset("folder:stripes", place)


@needs_root
@pytest.mark.parametrize(
    ("umask", "goes_on", "stays"),
    [(0o002, True, False), (0o022, True, True), (0o077, False, True)],
    ids=["shared", "readable", "closed"],
)
def test_a_trial_of_another_user_is_taken_over(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    umask: int,
    goes_on: bool,
    stays: bool,
) -> None:
    monkeypatch.chdir(place)
    caplog.set_level("INFO", "histsearch")
    group = make_group_folder(place / "group")
    with relayed(storage.url, place) as url:
        study = study_of(Storage(url), stripes)
        with acting_as(ALICE, umask=umask):
            run_until_stopped(study, dataset, group, batches=10)
        caplog.clear()
        with acting_as(BOB, umask=0o002):
            _, outcome = run_next(study, dataset, group)
        attributes = stored(study).user_attrs
    assert outcome.state == TrialState.COMPLETE
    assert trial_record.RETRIES not in attributes
    assert ("resumed after" in caplog.text) == goes_on
    assert ("it starts afresh" in caplog.text) != goes_on
    removal = f"can't be removed (Permission denied): {group}"
    assert sum(removal in message for message in caplog.messages) == stays
    assert bool(list(group.rglob("*.ckpt"))) == stays
    assert (f"user {ALICE}'s" in caplog.text) == stays
