"""What histsearch writes to Optuna's tables is what Optuna would have written."""

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from histsearch.database.storage import Storage
from histsearch.studies.catalog import create_search
from histsearch.studies.claim import ClaimLostError
from tests.integration.claims import claimed
from tests.integration.studies.small_search import small_space

STEPS = {1: 0.1, 2: math.nan, 3: math.inf, 4: -math.inf, 5: 1e-300, 7: 0.1 + 0.2, 6: -2.5}
ATTRIBUTES: dict[str, Any] = {
    "text": "a ' \" % \\ \u00e9 \0",
    "number": 1e-17,
    "list": [1, None, {"a": True}],
    "none": None,
    "nan": math.nan,
}
DISTRIBUTIONS: dict[str, tuple[float, BaseDistribution]] = {
    "x": (0.25, FloatDistribution(0.0, 1.0)),
    "n": (3.0, IntDistribution(1, 5)),
    "c": (1.0, CategoricalDistribution(["a", "b", 3])),
}


@pytest.fixture
def theirs(storage: Storage) -> RDBStorage:
    return RDBStorage(storage.url.render_as_string(hide_password=False))


def fill(storage: BaseStorage, study_id: int) -> int:
    trial_id = storage.create_new_trial(study_id)
    for name, (value, distribution) in DISTRIBUTIONS.items():
        storage.set_trial_param(trial_id, name, value, distribution)
    storage.set_trial_intermediate_value(trial_id, 1, 0.7)
    for step, score in STEPS.items():
        storage.set_trial_intermediate_value(trial_id, step, score)
    for key, attribute in ATTRIBUTES.items():
        storage.set_trial_user_attr(trial_id, key, "before")
        storage.set_trial_user_attr(trial_id, key, attribute)
        storage.set_trial_system_attr(trial_id, key, attribute)
    assert storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [math.inf])
    return trial_id


def content(trial: FrozenTrial) -> str:
    """All of a trial but its key, number and times, in whichever order; NaN equals NaN."""
    parts = (
        trial.params,
        trial.distributions,
        trial.intermediate_values,
        trial.user_attrs,
        trial.system_attrs,
    )
    return repr((trial.state, trial.values, [sorted(part.items(), key=repr) for part in parts]))


def test_optuna_reads_the_same_whoever_wrote_it(storage: Storage, theirs: RDBStorage) -> None:
    study = optuna.create_study(storage=theirs, study_name="one", direction="maximize")
    by_ours, by_theirs = (fill(one, study._study_id) for one in (storage.optuna, theirs))
    with storage.begin() as connection:
        within = fill(storage.optuna_within(connection), study._study_id)
    trials = [theirs.get_trial(key) for key in (by_ours, by_theirs, within)]
    assert len({content(trial) for trial in trials}) == 1
    assert [trial.number for trial in trials] == [0, 1, 2]
    for reader in (storage.optuna, theirs):
        assert [content(one) for one in reader.get_all_trials(study._study_id)] == [
            content(trial) for trial in trials
        ]
    for trial in trials:
        assert storage.optuna.get_trial(trial._trial_id).datetime_start == trial.datetime_start
        assert trial.datetime_start is not None
        assert trial.datetime_complete is not None
        assert trial.datetime_start <= trial.datetime_complete


def test_a_claim_records_as_optuna_would(storage: Storage, theirs: RDBStorage) -> None:
    one = claimed(create_search(storage, small_space()))
    one.record({"text": "before"}, {1: 0.5})
    one.record(ATTRIBUTES, STEPS)
    trial = theirs.get_trial(one.trial._trial_id)
    assert {step: repr(trial.intermediate_values[step]) for step in STEPS} == {
        step: repr(value) for step, value in STEPS.items()
    }
    assert {key: repr(trial.user_attrs[key]) for key in ATTRIBUTES} == {
        key: repr(value) for key, value in ATTRIBUTES.items()
    }
    theirs.set_trial_state_values(one.trial._trial_id, TrialState.FAIL)
    with pytest.raises(ClaimLostError):
        one.record({"late": True})
    assert "late" not in theirs.get_trial(one.trial._trial_id).user_attrs


WRITES: list[Callable[[BaseStorage, int], Any]] = [
    lambda storage, key: storage.set_trial_user_attr(key, "a", 1),
    lambda storage, key: storage.set_trial_system_attr(key, "a", 1),
    lambda storage, key: storage.set_trial_intermediate_value(key, 1, 0.5),
    lambda storage, key: storage.set_trial_param(key, "y", 0.5, FloatDistribution(0.0, 1.0)),
    lambda storage, key: storage.set_trial_state_values(key, TrialState.FAIL),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_finished_trial_and_none_refuse_every_write(
    storage: Storage, write: Callable[[BaseStorage, int], Any]
) -> None:
    study = optuna.create_study(storage=storage.optuna, study_name="one")
    finished = fill(storage.optuna, study._study_id)
    with pytest.raises(UpdateFinishedTrialError):
        write(storage.optuna, finished)
    with pytest.raises(KeyError):
        write(storage.optuna, finished + 1)


def test_a_waiting_trial_is_started_once(storage: Storage) -> None:
    study = optuna.create_study(storage=storage.optuna, study_name="one")
    study.enqueue_trial({"x": 0.5})
    (trial,) = study.trials
    assert storage.optuna.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
    assert not storage.optuna.set_trial_state_values(trial._trial_id, TrialState.RUNNING)


def test_a_parameter_of_another_kind_than_before_is_refused(storage: Storage) -> None:
    study = optuna.create_study(storage=storage.optuna, study_name="one")
    fill(storage.optuna, study._study_id)
    other = storage.optuna.create_new_trial(study._study_id)
    with pytest.raises(ValueError, match="different distribution"):
        storage.optuna.set_trial_param(other, "x", 1.0, IntDistribution(1, 5))


def test_attributes_of_studies_are_optunas(storage: Storage, theirs: RDBStorage) -> None:
    study = optuna.create_study(storage=storage.optuna, study_name="one", direction="maximize")
    for key, value in ATTRIBUTES.items():
        study.set_user_attr(key, "before")
        study.set_user_attr(key, value)
    for attributes in (study.user_attrs, theirs.get_study_user_attrs(study._study_id)):
        assert sorted(map(repr, attributes.items())) == sorted(map(repr, ATTRIBUTES.items()))
    for ask in (
        storage.optuna.get_study_user_attrs,
        storage.optuna.get_study_directions,
        storage.optuna.get_study_name_from_id,
        storage.optuna.get_n_trials,
        storage.optuna.create_new_trial,
        lambda key: storage.optuna.set_study_user_attr(key, "a", 1),
    ):
        with pytest.raises(KeyError):
            ask(study._study_id + 1)


def test_versions_are_those_that_optuna_tells(storage: Storage) -> None:
    plain = RDBStorage(storage.url.render_as_string(hide_password=False))
    assert storage.optuna.get_current_version() == plain.get_current_version()
    assert storage.optuna.get_head_version() == plain.get_head_version()
    assert storage.optuna.get_all_versions() == plain.get_all_versions()
