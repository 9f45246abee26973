"""What changed in a study since an earlier look at it, whoever changed it.

Triggers on Optuna's tables note each transaction that changes a study or a trial
(`tables.changes`). A look remembers which transactions it couldn't see, those that were open at
that moment and all later ones: the next look asks for their changes. So a transaction that was open
at the one look and ends before the other isn't missed, however long it took.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial
from sqlalchemy import text
from sqlalchemy.engine import Connection

from histsearch.database.trial_reading import attributes_of, trials_as_json, trials_from_json

STUDY_ITSELF = 0
"""Stands among the keys of changed trials for the study."""

# A dump that was restored may hold numbers of another server, beyond those that this one has used.
_SEEN = (
    "(changed_by < pg_snapshot_xmax(pg_current_snapshot()) "
    "OR changed_by = pg_current_xact_id_if_assigned())"
)
# A standby doesn't tell which transactions are open, only from which one on they may be.
_SINCE = (
    "changed_by >= pg_snapshot_xmin(CAST(:since AS pg_snapshot)) AND (pg_is_in_recovery() "
    "OR NOT pg_visible_in_snapshot(changed_by, CAST(:since AS pg_snapshot))) "
    f"AND {_SEEN}"
)
_MOMENT = (
    "CAST(pg_current_snapshot() AS text) AS snapshot, "
    "concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), "
    "CAST(CAST('trials' AS regclass) AS oid), "
    "CAST(CAST('histsearch_changes' AS regclass) AS oid)) AS tables"
)
_SAME_TABLES = "moment.tables IS NOT DISTINCT FROM :tables"
_LOOK = text(
    f"WITH moment AS (SELECT {_MOMENT}), changed AS MATERIALIZED "  # noqa: S608
    "(SELECT DISTINCT trial_id FROM histsearch_changes "
    f"WHERE study_id = :study_id AND {_SINCE}) "
    "SELECT snapshot, tables, pg_current_xact_id_if_assigned() IS NOT NULL AS has_written, "
    "EXISTS (SELECT FROM studies WHERE study_id = :study_id) AS exists, "
    "ARRAY(SELECT trial_id FROM changed) AS changed, "
    f"CASE WHEN {_SAME_TABLES} AND NOT EXISTS (SELECT FROM changed WHERE trial_id = {STUDY_ITSELF})"
    " THEN NULL ELSE (SELECT coalesce(json_agg(json_build_array(key, value_json) "
    "ORDER BY study_user_attribute_id), '[]') FROM study_user_attributes "
    "WHERE study_id = :study_id) END AS attributes, "
    f"CASE WHEN :with_trials AND {_SAME_TABLES} "
    f"THEN {trials_as_json('ARRAY(SELECT trial_id FROM changed)')} END AS trials FROM moment"
)
_GLANCE = text(
    f"SELECT {_MOMENT}, "  # noqa: S608
    "ARRAY(SELECT study_id FROM studies ORDER BY study_id) AS studies, "
    "ARRAY(SELECT study_id FROM studies WHERE EXISTS (SELECT FROM histsearch_changes "
    f"WHERE histsearch_changes.study_id = studies.study_id AND {_SINCE})) AS changed"
)
# Another transaction's number says nothing of when it is committed. What can be seen now was before
# this transaction's will be.
_FORGET = text(
    "DELETE FROM histsearch_changes AS older USING histsearch_changes AS newer "
    "WHERE older.study_id = :study_id AND newer.study_id = :study_id "
    "AND newer.trial_id = older.trial_id AND older.changed_by <> newer.changed_by "
    "AND newer.changed_by = pg_current_xact_id_if_assigned()"
)


@dataclass(frozen=True)
class Moment:
    """When a look was taken.

    Attributes:
        snapshot: Which transactions could be seen, as PostgreSQL writes it.
        tables: Tells the tables that were looked at from those of another server, or restored ones.
    """

    snapshot: str
    tables: str


@dataclass(frozen=True)
class Look:
    """What a look at a study shows.

    Attributes:
        moment: When it was.
        attributes: The study's user attributes; None where they haven't changed.
        changed: Keys of the trials that have changed, come to be or gone; None where all may have.
        trials: Those of them that there are, where they were asked for.
        has_written: Whether the transaction that looks has written something itself.
    """

    moment: Moment
    attributes: Mapping[str, Any] | None
    changed: frozenset[int] | None
    trials: Sequence[FrozenTrial]
    has_written: bool


def look(connection: Connection, study_id: int, since: Moment | None, *, with_trials: bool) -> Look:
    """Look what changed in a study, the changes of the connection's own transaction included.

    Args:
        connection: A transaction.
        study_id: The study.
        since: The look before; None for none.
        with_trials: Whether the trials that changed are wanted too.

    Raises:
        KeyError: It doesn't exist, or no longer.
    """
    asked = {
        "study_id": study_id,
        "since": since and since.snapshot,
        "tables": since and since.tables,
        "with_trials": with_trials,
    }
    row = connection.execute(_LOOK, asked).one()
    if not row.exists:
        raise KeyError(f"no study has the key {study_id}")
    moment = Moment(row.snapshot, row.tables)
    same = since is not None and since.tables == moment.tables
    return Look(
        moment,
        None if row.attributes is None else attributes_of(row.attributes),
        frozenset(row.changed) - {STUDY_ITSELF} if same else None,
        trials_from_json(row.trials),
        row.has_written,
    )


@dataclass(frozen=True)
class Glance:
    """What a glance at all studies shows.

    Attributes:
        moment: When it was.
        studies: For the key of each, whether anything in it changed.
    """

    moment: Moment
    studies: Mapping[int, bool]


def glance(connection: Connection, since: Moment | None) -> Glance:
    """Glance at all studies, those of Optuna included; as `look`."""
    row = connection.execute(_GLANCE, {"since": since and since.snapshot}).one()
    moment = Moment(row.snapshot, row.tables)
    same = since is not None and since.tables == moment.tables
    changed = set(row.changed if same else row.studies)
    return Glance(moment, {key: key in changed for key in row.studies})


def forget_superseded(connection: Connection, study_id: int) -> None:
    """Remove the notes of changes of what the transaction changes itself.

    Whoever would have found one of them finds the transaction's own.

    Args:
        connection: The transaction.
        study_id: The study.
    """
    connection.execute(_FORGET, {"study_id": study_id})
