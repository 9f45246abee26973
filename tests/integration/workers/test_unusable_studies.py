from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import HistsearchError
from histsearch.studies import queue
from histsearch.studies.claim import Claim
from histsearch.studies.study import Study
from histsearch.workers import worker
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.workers.test_worker import create, settings

# Longer than the 255 bytes that a file system takes, in as few characters as may be.
TOO_LONG = "é" * 130

UNUSABLE: tuple[tuple[dict[str, str], str], ...] = (
    ({"dataset": f"folder:{TOO_LONG}"}, "can't be read (File name too long)"),
    ({"weights": f"{TOO_LONG}.pth"}, f"{TOO_LONG}.pth' can't be reached (File name too long)"),
    ({"weights": "~nobody-here/w.pth"}, "weights file '~nobody-here/w.pth' can't be reached"),
)


def test_whatever_a_study_asks_for_a_worker_serves_the_rest(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {}
    for number, (changes, words) in enumerate(UNUSABLE):
        left[create(storage, stripes, name=f"a{number}", **changes)] = words
    unchoosable = create(storage, stripes, name="b")
    left[unchoosable] = (
        'no next trial of "b" could be chosen (ValueError: Maximum allowed size exceeded)'
    )
    served = create(storage, stripes, name="c", trials=1, epochs=1)

    def claim(study: Study, worker_id: int) -> Claim | None:
        # As the model of the curves does with 10^30 epochs.
        if study.id == unchoosable.id:
            raise ValueError("Maximum allowed size exceeded")
        return queue.claim(study, worker_id)

    monkeypatch.setattr(worker, "claim", claim)
    with pytest.raises(HistsearchError, match="can't be re"):
        run_worker(storage, settings(data_dir), StopRequest())
    assert served.count(TrialState.COMPLETE) == 1
    for study, words in left.items():
        assert study.count() == 0
        assert words in study.left_by["localhost"]
