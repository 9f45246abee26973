"""What is stored of how a search stands once it is over."""

from pathlib import Path
from typing import Any

import torch
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search
from histsearch.studies.stages import StudyMove
from histsearch.studies.standing import STANDING
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.claims import claimed
from tests.integration.workers.test_round_trips import settings

torch.set_num_threads(1)


def test_a_worker_that_closes_a_search_and_ends_stores_how_it_stands(
    storage: Storage, data_dir: Path, tmp_path: Path, stripes: dict[str, Any]
) -> None:
    space = {**stripes, "epochs": 2, "trials": 3, "sampler": "freeze-thaw"}
    study = create_search(storage, parse_space(space, source="test"))
    poor, good = claimed(study), claimed(study)
    good.record({}, {1: 0.8, 2: 0.9})
    good.tell(TrialState.COMPLETE, 0.9)
    poor.record({}, {1: 0.1})
    poor.pause()
    study.move(StudyMove.END, "its hours are used")
    run_worker(storage, settings(data_dir, tmp_path), StopRequest())
    assert study.is_finished
    stored = study.optuna_study.user_attrs[STANDING]
    assert stored["finished_as"] == "2 trials, 3 epochs"
    assert stored["standing"]["configurations"][0] == good.configuration
