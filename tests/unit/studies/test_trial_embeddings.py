from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from histsearch.exceptions import CheckpointError, HistsearchError, StudyError
from histsearch.studies.trial_embeddings import trial_embeddings
from histsearch.studies.trial_record import EMBEDDINGS, FIGURES, WORKER
from tests.unit.studies.test_embeddings_file import embeddings, plain, written


def trial(**attributes: Any) -> FrozenTrial:
    return create_trial(value=0.5, user_attrs=attributes)


def test_the_embeddings_of_a_trial_are_read_from_where_it_kept_them(tmp_path: Path) -> None:
    (tmp_path / "0.npz").write_bytes(written(embeddings()))
    kept = trial(**{FIGURES: {"NMI": 0.5}, EMBEDDINGS: str(tmp_path / "0.npz")})
    assert plain(trial_embeddings(kept)) == plain(embeddings())


@pytest.mark.parametrize(
    ("attributes", "error", "reason"),
    [
        ({}, StudyError, "an earlier version of histsearch retrained it"),
        ({FIGURES: {}}, StudyError, "its worker couldn't write them"),
        (
            {FIGURES: {}, EMBEDDINGS: "nowhere/0.npz", WORKER: "host:7"},
            StudyError,
            "found no nowhere/0.npz, which worker host:7 wrote on its own machine",
        ),
        ({FIGURES: {}, EMBEDDINGS: "damaged.npz"}, CheckpointError, "damaged.npz: found a damaged"),
    ],
)
def test_what_is_missing_says_why(
    attributes: dict[str, Any],
    error: type[HistsearchError],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("damaged.npz").write_bytes(written(embeddings())[:-30])
    with pytest.raises(error, match=reason):
        trial_embeddings(trial(**attributes))


def test_a_trial_that_is_not_complete_has_none() -> None:
    with pytest.raises(StudyError, match="this one isn't complete"):
        trial_embeddings(create_trial(state=TrialState.FAIL))
