"""Changes of studies and trials are noted, and what is worked out of them is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TABLE = """
CREATE TABLE histsearch_changes (
    study_id integer NOT NULL,
    trial_id integer NOT NULL,
    changed_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (study_id, trial_id, changed_by)
)
"""
# They run as their owner, so that whoever may write to Optuna's tables needs no further right, and
# name their tables in full, whatever the caller's search_path.
_FUNCTION = """
CREATE OR REPLACE FUNCTION {own}.{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    {body};
    RETURN NULL;
END $$
"""
_NOTE = "INSERT INTO {own}.histsearch_changes (study_id, trial_id) %s ON CONFLICT DO NOTHING"
_NOTE_TRIALS = _NOTE % "SELECT DISTINCT study_id, trial_id FROM changed"
# A trial whose study isn't found violates NOT NULL, so that no change passes unnoticed.
_NOTE_PARTS = _NOTE % (
    "SELECT DISTINCT trials.study_id, changed.trial_id FROM changed "
    "LEFT JOIN {optunas}.trials ON trials.trial_id = changed.trial_id"
)
_NOTE_STUDIES = _NOTE % "SELECT DISTINCT study_id, 0 FROM changed"
_FORGET_STUDIES = "; ".join(
    f"DELETE FROM {{own}}.{table} WHERE study_id IN (SELECT study_id FROM changed)"  # noqa: S608
    for table in ("histsearch_changes", "histsearch_conclusions")
)
_FUNCTIONS = {
    "histsearch_note_trials": _NOTE_TRIALS,
    "histsearch_note_parts": _NOTE_PARTS,
    "histsearch_note_studies": _NOTE_STUDIES,
    "histsearch_forget_studies": _FORGET_STUDIES,
}
_NOTED_BY = {
    "trials": "histsearch_note_trials",
    "trial_params": "histsearch_note_parts",
    "trial_values": "histsearch_note_parts",
    "trial_intermediate_values": "histsearch_note_parts",
    "trial_user_attributes": "histsearch_note_parts",
    "trial_system_attributes": "histsearch_note_parts",
    "studies": "histsearch_note_studies",
    "study_user_attributes": "histsearch_note_studies",
    "study_system_attributes": "histsearch_note_studies",
}
_ROWS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}
# Once a statement: many rows cost one look, and a transaction has one row a trial.
_TRIGGER = """
CREATE TRIGGER histsearch_note_{suffix} AFTER {event} ON {optunas}.{table}
REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {own}.{function}()
"""


def upgrade() -> None:
    """Create the tables, the triggers, and an index of the trials that run."""
    op.create_table(
        "histsearch_conclusions",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False, comment="what it was worked out for"),
        sa.Column("worker_id", sa.BigInteger, comment="who works it out; empty once it is"),
        sa.Column("reason", sa.Text, comment="why the study ends; empty if it doesn't"),
        sa.Column("chance", sa.Double),
    )
    op.execute(_TABLE)
    op.execute("COMMENT ON COLUMN histsearch_changes.trial_id IS '0 for the study itself'")
    op.execute("COMMENT ON COLUMN histsearch_changes.changed_by IS 'the transaction'")
    op.create_index("histsearch_changes_of_study", "histsearch_changes", ["study_id", "changed_by"])
    own, optunas = _schema("histsearch_changes"), _schema("trials")
    for name, body in _FUNCTIONS.items():
        whole = body.format(own=own, optunas=optunas)
        op.execute(_FUNCTION.format(own=own, name=name, body=whole))
    for table, event in _triggers():
        forgets = (table, event) == ("studies", "DELETE")
        function = "histsearch_forget_studies" if forgets else _NOTED_BY[table]
        # It may be there still, where the table was dropped by hand.
        op.execute(f"DROP TRIGGER IF EXISTS histsearch_note_{event.lower()} ON {optunas}.{table}")
        op.execute(
            _TRIGGER.format(
                suffix=event.lower(),
                event=event,
                optunas=optunas,
                table=table,
                rows=_ROWS[event],
                own=own,
                function=function,
            )
        )
    op.create_index(
        "histsearch_trials_running",
        "trials",
        ["study_id"],
        postgresql_where=sa.text("state = 'RUNNING'"),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("histsearch_trials_running", "trials")
    for table, event in _triggers():
        op.execute(f"DROP TRIGGER histsearch_note_{event.lower()} ON {table}")
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}()")
    op.drop_table("histsearch_changes")
    op.drop_table("histsearch_conclusions")


def _triggers() -> list[tuple[str, str]]:
    """Each table with each event that is noted."""
    return [(table, event) for table in _NOTED_BY for event in _ROWS]


def _schema(table: str) -> str:
    """The schema of a table, as SQL takes it."""
    query = sa.text(
        "SELECT CAST(relnamespace AS regnamespace) FROM pg_class "
        "WHERE oid = CAST(:table AS regclass)"
    )
    return str(op.get_bind().scalar(query, {"table": table}))
