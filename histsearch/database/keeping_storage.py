"""Optuna's storage, which keeps what it has read."""

import copy
import json
import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import _CachedStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import Connection
from typing_extensions import override

from histsearch.database.changes import Glance, Moment, forget_superseded, glance
from histsearch.database.json_values import is_number
from histsearch.database.kept_studies import (
    KeptStudies,
    KeptStudy,
    Part,
    at_present,
    sum_of_attribute,
    with_part,
    with_trial,
)
from histsearch.database.optuna_storage import OptunaStorage, singly
from histsearch.database.trial_reading import read_trials
from histsearch.database.trial_writing import Parameters


class KeepingStorage(_CachedStorage):
    """Optuna's storage, which reads of a study only what changed since it was last read.

    What it gives is as it is in the database at that moment, whoever wrote it, and is shared: a
    trial mustn't be changed, unless it was asked for alone. It takes the place of Optuna's own
    cache, which reads every unfinished trial each time and may miss one that was begun long before
    it was stored.

    Args:
        backend: What writes.
        kept: What is kept, by all threads of the process.
        connection: Transaction of ours to work in, whose own changes it shows as well; none for one
            each time.
    """

    def __init__(
        self,
        backend: OptunaStorage,
        kept: KeptStudies,
        connection: Connection | None = None,
    ) -> None:
        super().__init__(backend)
        self._optuna = backend
        self._together: dict[int, dict[str, tuple[float, BaseDistribution]]] | None = None
        self._kept = kept
        self._connection = connection
        self._held = threading.local()
        if connection is not None:
            self._held.studies = {}

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Within the block this thread sees each study as it was when it first asked.

        Once it has written something itself, it looks again. Inside a transaction of ours it always
        sees each study so, with what it has written itself since.
        """
        if self._holding is not None:  # within another such block
            yield
            return
        self._held.studies = {}
        try:
            yield
        finally:
            del self._held.studies

    @property
    def _holding(self) -> dict[int, KeptStudy] | None:
        held: dict[int, KeptStudy] | None = getattr(self._held, "studies", None)
        return held

    def look_again(self) -> None:
        """See each study as it is from now on, also within `at_one_moment`."""
        holding = self._holding
        if holding is not None:
            holding.clear()

    def _begin(self) -> AbstractContextManager[Connection]:
        if self._connection is not None:
            return nullcontext(self._connection)
        return singly(self._backend.engine)

    def _read(self, study_id: int, part: Part | None = None) -> KeptStudy:
        """A study with a part of it as it is now.

        Raises:
            KeyError: It doesn't exist, or no longer.
        """
        holding = self._holding
        held = None if holding is None else holding.get(study_id)
        if held is not None and held.has(part):
            return held
        before = self._kept.get(study_id) if held is None else held
        with self._begin() as connection:
            now, is_shared = held, True
            if now is None:
                now, is_shared = self._at_present(connection, study_id, before)
            after = with_part(connection, study_id, now, part)
        if is_shared:
            self._kept.put(study_id, before, after)
        if holding is not None:
            holding[study_id] = after
        return after

    def _at_present(
        self, connection: Connection, study_id: int, before: KeptStudy | None
    ) -> tuple[KeptStudy, bool]:
        try:
            return at_present(connection, study_id, before)
        except KeyError:
            self._kept.forget(study_id)
            raise

    def glance(self, since: Moment | None) -> Glance:
        """Glance at all studies; as `changes.glance`."""
        with self._begin() as connection:
            return glance(connection, since)

    def forget(self, study_id: int) -> None:
        """Keep a study no longer."""
        self._kept.forget(study_id)

    def attributes(self, study_id: int) -> Mapping[str, Any]:
        """A study's user attributes, for nobody to change.

        Raises:
            KeyError: It doesn't exist, or no longer.
        """
        return self._read(study_id).attributes

    def trials(self, study_id: int) -> Mapping[int, FrozenTrial]:
        """A study's trials by key, for nobody to change.

        Raises:
            KeyError: It doesn't exist, or no longer.
        """
        trials = self._read(study_id, Part.TRIALS).trials
        assert trials is not None
        return trials

    def sum_over_trials(self, study_id: int, key: str) -> float:
        """The sum of a number that trials of a study carry as an attribute.

        Raises:
            KeyError: The study doesn't exist, or no longer.
        """
        kept = self._read(study_id, Part.COUNTS)
        if kept.trials is None:
            with self._begin() as connection:
                return sum_of_attribute(connection, study_id, key)
        carried = (trial.user_attrs.get(key) for trial in kept.trials.values())
        return sum(float(one) for one in carried if is_number(one))

    def forget_superseded(self, study_id: int) -> None:
        """Remove needless notes of a study's changes; as `changes.forget_superseded`."""
        with self._begin() as connection:
            forget_superseded(connection, study_id)

    @override
    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return dict(self.attributes(study_id))

    @override
    def get_n_trials(
        self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None
    ) -> int:
        counts = self._read(study_id, Part.COUNTS).counts
        assert counts is not None
        states = (state,) if isinstance(state, TrialState) else state
        return sum(number for one, number in counts.items() if states is None or one in states)

    @override
    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        chosen = self._chosen(study_id, states)
        return copy.deepcopy(chosen) if deepcopy else chosen

    def _chosen(self, study_id: int, states: Container[TrialState] | None) -> list[FrozenTrial]:
        kept = self._read(study_id, Part.TRIALS)
        assert kept.trials is not None
        if states is None:
            return list(kept.trials.values())
        if states == (TrialState.WAITING,):
            return [kept.waiting[key] for key in sorted(kept.waiting)]
        return [trial for trial in kept.trials.values() if trial.state in states]

    @override
    def get_trial(self, trial_id: int) -> FrozenTrial:
        for held in (self._holding or {}).values():
            if held.trials is not None and trial_id in held.trials:
                return copy.deepcopy(held.trials[trial_id])
        with self._begin() as connection:
            trials = read_trials(connection, [trial_id])
        if not trials:
            raise KeyError(f"no trial has the key {trial_id}")
        return trials[0]

    # Inside a transaction of ours, what is held shows each of these without a question.

    @override
    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        held = self._held.studies.get(study_id) if self._connection is not None else None
        if held is None:
            self.look_again()
        super().set_study_user_attr(study_id, key, value)
        if held is not None:
            attributes = {**held.attributes, key: _as_read(value)}
            self._held.studies[study_id] = replace(held, attributes=attributes)

    @override
    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        held = self._held.studies.get(study_id) if self._connection is not None else None
        if held is None or held.trials is None:
            self.look_again()
        trial = self._optuna._create_new_trial(study_id, template_trial)
        if held is not None and held.trials is not None:
            self._held.studies[study_id] = with_trial(held, trial)
        return int(trial._trial_id)

    @override
    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        self.set_trial_params(trial_id, {param_name: (param_value_internal, distribution)})

    def set_trial_params(self, trial_id: int, parameters: Parameters) -> None:
        """Set several parameters of a trial; as `OptunaStorage.set_trial_params`.

        Within `parameters_together` they are set at its end.
        """
        if self._together is not None:
            self._together.setdefault(trial_id, {}).update(parameters)
            return
        trial = self._before_writing(trial_id)
        known = None if trial is None else self._known_distributions(trial_id, parameters)
        self._optuna.set_trial_params(trial_id, parameters, known)
        if trial is None:
            return
        values = {
            name: distribution.to_external_repr(value)
            for name, (value, distribution) in parameters.items()
        }
        distributions = {name: distribution for name, (_, distribution) in parameters.items()}
        self._hold_as(
            trial,
            params={**trial.params, **values},
            distributions={**trial.distributions, **distributions},
        )

    @contextmanager
    def parameters_together(self) -> Iterator[None]:
        """Have the parameters of a trial that are set within the block set at its end.

        Until then the trial lacks them, whoever asks.
        """
        together: dict[int, dict[str, tuple[float, BaseDistribution]]] = {}
        self._together = together
        try:
            yield
        finally:
            self._together = None
        for trial_id, parameters in together.items():
            self.set_trial_params(trial_id, parameters)

    @override
    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        trial = self._before_writing(trial_id)
        if not self._optuna.set_trial_state_values(trial_id, state, values):
            self.look_again()  # another process was first
            return False
        times = {}
        if state == TrialState.RUNNING or state.is_finished():
            key = "datetime_start" if state == TrialState.RUNNING else "datetime_complete"
            times = {key: datetime.now()}
        self._hold_as(trial, state=state, **times, **({} if values is None else {"values": values}))
        return True

    @override
    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        self.look_again()
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    @override
    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        trial = self._before_writing(trial_id)
        super().set_trial_user_attr(trial_id, key, value)
        if trial is not None:
            self._hold_as(trial, user_attrs={**trial.user_attrs, key: _as_read(value)})

    @override
    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        trial = self._before_writing(trial_id)
        super().set_trial_system_attr(trial_id, key, value)
        if trial is not None:
            self._hold_as(trial, system_attrs={**trial.system_attrs, key: _as_read(value)})

    def _before_writing(self, trial_id: int) -> FrozenTrial | None:
        """A trial as this thread holds it inside its transaction; elsewhere it looks again."""
        if self._connection is not None:
            for kept in (self._holding or {}).values():
                if kept.trials is not None and trial_id in kept.trials:
                    return kept.trials[trial_id]
        self.look_again()
        return None

    def _hold_as(self, trial: FrozenTrial | None, **changes: Any) -> None:
        """Hold a trial as a write inside the transaction has made it."""
        if trial is None:
            return
        changed = copy.copy(trial)
        for name, value in changes.items():
            setattr(changed, name, value)
        for study_id, kept in self._held.studies.items():
            if kept.trials is not None and trial._trial_id in kept.trials:
                self._held.studies[study_id] = with_trial(kept, changed)

    def _known_distributions(
        self, trial_id: int, names: Iterable[str]
    ) -> dict[str, BaseDistribution]:
        """What the other trials that are held beside a trial have for some parameters."""
        known: dict[str, BaseDistribution] = {}
        trials = next(
            kept.trials for kept in self._held.studies.values() if trial_id in (kept.trials or ())
        )
        for trial in trials.values():
            if known.keys() >= {*names}:
                break
            known = {**trial.distributions, **known}
        return known


def _as_read(value: Any) -> Any:
    """An attribute's value as it comes back from the database."""
    return json.loads(json.dumps(value))
