"""Optuna's storage on connections of ours, with a statement for each question and each change."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    json_to_distribution,
)
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Table, delete, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import ReturningInsert
from typing_extensions import override

from histsearch.database.revisions import Revisions, read_revisions
from histsearch.database.trial_reading import read_trials
from histsearch.database.trial_writing import (
    TRIALS,
    Parameters,
    as_stored,
    is_unfinished,
    unfinished_trial,
    write_attributes,
    write_parameters,
    write_steps,
    write_value,
)

_STUDIES = models.StudyModel.__table__
_DIRECTIONS = models.StudyDirectionModel.__table__
_PARAMETERS = models.TrialParamModel.__table__
_USER_ATTRIBUTES = models.StudyUserAttributeModel.__table__
_SYSTEM_ATTRIBUTES = models.StudySystemAttributeModel.__table__
_REVISION = text("SELECT version_num FROM alembic_version")


class OptunaStorage(RDBStorage):
    """Optuna's storage that works through an engine, or inside a transaction.

    It reads and writes what Optuna's own does. Inside a transaction what it writes is kept or lost
    with that, and an error ends it.

    Args:
        bind: The engine, or the transaction.
        may_note: In SQL, by a study's key, whether its attributes may be set at this moment; those
            that may not are left as they are. They always may when left out.
    """

    def __init__(
        self,
        bind: Engine | Connection,
        may_note: Callable[[int], ColumnElement[bool]] | None = None,
    ) -> None:
        self._may_note = may_note
        # Optuna's constructor would connect anew, and ask for its version again and again.
        self.engine = bind.engine
        self.heartbeat_interval = None
        self._bind = bind
        self.scoped_session = scoped_session(
            sessionmaker(bind=bind, join_transaction_mode="rollback_only")
        )

    @override
    def get_current_version(self) -> str:
        with self._connected() as connection:
            return str(connection.scalar(_REVISION))

    @override
    def get_head_version(self) -> str:
        return _known_revisions().head

    @override
    def get_all_versions(self) -> list[str]:
        return sorted(_known_revisions().all, reverse=True)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection for one statement."""
        if isinstance(self._bind, Connection):
            yield self._bind
        else:
            with singly(self._bind) as connection:
                yield connection

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        """A transaction for several."""
        if isinstance(self._bind, Connection):
            yield self._bind
        else:
            with self._bind.begin() as connection:
                yield connection

    def _rows(self, statement: Executable) -> Sequence[Any]:
        with self._connected() as connection:
            return connection.execute(statement).all()

    # Studies.

    @override
    def get_study_id_from_name(self, study_name: str) -> int:
        return int(self._value(_STUDIES.c.study_id, _STUDIES.c.study_name == study_name))

    @override
    def get_study_name_from_id(self, study_id: int) -> str:
        return str(self._value(_STUDIES.c.study_name, _STUDIES.c.study_id == study_id))

    def _value(self, wanted: ColumnElement[Any], condition: ColumnElement[bool]) -> Any:
        rows = self._rows(select(wanted).where(condition))
        if not rows:
            raise KeyError(models.NOT_FOUND_MSG)
        return rows[0][0]

    @override
    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        rows = self._of_study(study_id, _DIRECTIONS, _DIRECTIONS.c.direction)
        return [direction for (direction,) in rows]

    @override
    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._attributes(study_id, _USER_ATTRIBUTES)

    @override
    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._attributes(study_id, _SYSTEM_ATTRIBUTES)

    def _attributes(self, study_id: int, table: Table) -> dict[str, Any]:
        rows = self._of_study(study_id, table, table.c.key, table.c.value_json)
        return {key: json.loads(value) for key, value in rows}

    def _of_study(
        self, study_id: int, table: Table, *columns: ColumnElement[Any]
    ) -> list[Sequence[Any]]:
        """Rows of a study in another table.

        Raises:
            KeyError: There is no such study.
        """
        rows = self._rows(
            select(table.c.study_id, *columns)
            .select_from(_STUDIES.outerjoin(table, table.c.study_id == _STUDIES.c.study_id))
            .where(_STUDIES.c.study_id == study_id)
            .order_by(*table.primary_key)
        )
        if not rows:
            raise KeyError(models.NOT_FOUND_MSG)
        return [row[1:] for row in rows if row[0] is not None]

    @override
    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        row = self._study_attribute(study_id, key, value)
        rows = self._rows(self._or_instead(row, row.excluded.value_json))
        if not rows and self._may_note is None:
            raise KeyError(models.NOT_FOUND_MSG)

    def note_study_attr(self, study_id: int, key: str, value: Any) -> Any:
        """Set a user attribute of a study unless it has one of that name; what it has then.

        Raises:
            KeyError: There is no such study.
        """
        row = self._study_attribute(study_id, key, value)
        rows = self._rows(self._or_instead(row, _USER_ATTRIBUTES.c.value_json))
        if not rows:
            raise KeyError(models.NOT_FOUND_MSG)
        return json.loads(rows[0].value_json)

    def _study_attribute(self, study_id: int, key: str, value: Any) -> Insert:
        study = select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == study_id)
        if self._may_note is not None:
            study = study.where(self._may_note(study_id))
        noted = study.cte()
        return insert(_USER_ATTRIBUTES).from_select(
            ["study_id", "key", "value_json"],
            select(noted.c.study_id, literal(key), literal(json.dumps(value))),
        )

    def _or_instead(self, row: Insert, written: ColumnElement[str]) -> ReturningInsert[Any]:
        """The same where the study has the attribute already; it returns what it has then."""
        return row.on_conflict_do_update(
            index_elements=["study_id", "key"], set_={"value_json": written}
        ).returning(_USER_ATTRIBUTES.c.value_json)

    @override
    def delete_study(self, study_id: int) -> None:
        trials = select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
        with self._begun() as connection:
            for table in reversed(models.BaseModel.metadata.sorted_tables):
                if "study_id" in table.c:
                    gone = connection.execute(delete(table).where(table.c.study_id == study_id))
                elif "trial_id" in table.c:
                    connection.execute(delete(table).where(table.c.trial_id.in_(trials)))
        if not gone.rowcount:  # of the studies, which come last
            raise KeyError(models.NOT_FOUND_MSG)

    # Trials.

    @override
    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self._connected() as connection:
            trials = read_trials(connection, [trial_id])
        if not trials:
            raise KeyError(models.NOT_FOUND_MSG)
        return trials[0]

    @override
    def get_n_trials(
        self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None
    ) -> int:
        counted = select(func.count()).select_from(TRIALS).where(TRIALS.c.study_id == study_id)
        if state is not None:
            states = (state,) if isinstance(state, TrialState) else state
            counted = counted.where(TRIALS.c.state.in_(states))
        exists = select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == study_id).exists()
        ((found, number),) = self._rows(select(exists, counted.scalar_subquery()))
        if not found:
            raise KeyError(models.NOT_FOUND_MSG)
        return int(number)

    @override
    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        if template_trial is not None:
            return super()._create_new_trial(study_id, template_trial)
        started = datetime.now()
        study = select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == study_id)
        number = select(func.count()).select_from(TRIALS).where(TRIALS.c.study_id == study_id)
        row = insert(TRIALS).values(
            number=number.scalar_subquery(),
            study_id=study_id,
            state=TrialState.RUNNING,
            datetime_start=as_stored(started),
        )
        with self._begun() as connection:
            # Whoever else creates a trial, and counts them, does so before or after. Others may set
            # attributes meanwhile, for which they need the study's key alone.
            if connection.scalar(study.with_for_update(key_share=True)) is None:
                raise KeyError(models.NOT_FOUND_MSG)
            created = connection.execute(row.returning(TRIALS.c.trial_id, TRIALS.c.number)).one()
        return FrozenTrial(
            number=created.number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=started,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=created.trial_id,
        )

    @override
    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        if not self._rows(write_attributes(unfinished_trial(trial_id), {key: value})):
            super().set_trial_user_attr(trial_id, key, value)  # which says why not

    @override
    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        statement = write_attributes(unfinished_trial(trial_id), {key: value}, system=True)
        if not self._rows(statement):
            super().set_trial_system_attr(trial_id, key, value)

    @override
    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        steps = {step: intermediate_value}
        if not self._rows(write_steps(unfinished_trial(trial_id), steps)):
            super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    @override
    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        self.set_trial_params(trial_id, {param_name: (param_value_internal, distribution)})

    @override
    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        self.set_trial_params(trial_id, {param_name: (param_value_internal, distribution)})

    def set_trial_params(
        self,
        trial_id: int,
        parameters: Parameters,
        known: Mapping[str, BaseDistribution] | None = None,
    ) -> None:
        """Set several parameters of a trial.

        Args:
            trial_id: The trial's key.
            parameters: The parameters.
            known: The distributions of the study's other trials, which are read where it is None.

        Raises:
            KeyError: There is no such trial.
            UpdateFinishedTrialError: It is finished.
            ValueError: The study has one of them with a distribution of another kind.
        """
        if known is None:
            known = self._known_distributions(trial_id, list(parameters))
        for name in known.keys() & parameters.keys():
            check_distribution_compatibility(known[name], parameters[name][1])
        if not self._rows(write_parameters(unfinished_trial(trial_id), parameters)):
            for name, (value, distribution) in parameters.items():
                super()._set_trial_param(trial_id, name, value, distribution, None)

    def _known_distributions(
        self, trial_id: int, names: Sequence[str]
    ) -> dict[str, BaseDistribution]:
        """What a trial of the same study has for each parameter, if any has."""
        study = select(TRIALS.c.study_id).where(TRIALS.c.trial_id == trial_id).scalar_subquery()
        rows = self._rows(
            select(_PARAMETERS.c.param_name, func.min(_PARAMETERS.c.distribution_json))
            .join(TRIALS, TRIALS.c.trial_id == _PARAMETERS.c.trial_id)
            .where(TRIALS.c.study_id == study, _PARAMETERS.c.param_name.in_(names))
            .group_by(_PARAMETERS.c.param_name)
        )
        return {name: json_to_distribution(written) for name, written in rows}

    @override
    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if values is not None and (len(values) != 1 or state == TrialState.RUNNING):
            return super().set_trial_state_values(trial_id, state, values)
        starts = state == TrialState.RUNNING
        now = as_stored(datetime.now())
        times = {"datetime_start": now} if starts else {}
        if state.is_finished():
            times = {"datetime_complete": now}
        moved = (
            update(TRIALS)
            .where(
                TRIALS.c.trial_id == trial_id,
                TRIALS.c.state == TrialState.WAITING if starts else is_unfinished(),
            )
            .values(state=state, **times)
            .returning(TRIALS.c.trial_id)
        )
        statement = moved if values is None else write_value(moved.cte(), values[0])
        if not self._rows(statement):
            return super().set_trial_state_values(trial_id, state, values)
        return True


@contextmanager
def singly(engine: Engine) -> Iterator[Connection]:
    """A connection on which each statement is a transaction of its own, and one round trip."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def open_optuna(engine: Engine) -> OptunaStorage | None:
    """Optuna's storage that works through an engine; None where the tables aren't this Optuna's."""
    with singly(engine) as connection:
        revision = connection.scalar(_REVISION)
    return OptunaStorage(engine) if revision == _known_revisions().head else None


def check_optuna(url: URL, connect_arguments: Mapping[str, Any], *, has_tables: bool) -> None:
    """Make Optuna's tables where there are none.

    Raises:
        RuntimeError: They are another Optuna's.
    """
    checked = RDBStorage(
        url.render_as_string(hide_password=False),
        engine_kwargs={"connect_args": dict(connect_arguments)},
        # It would add what a later Optuna has to tables of an earlier one.
        skip_table_creation=has_tables,
    )
    checked.engine.dispose()


@cache
def _known_revisions() -> Revisions:
    """The revisions of the tables that this Optuna knows; it works with the last."""
    return read_revisions(Path(models.__file__).parent / "alembic" / "versions")
