"""histsearch's own tables, beside Optuna's: workers, their attempts at trials, what changed.

A change here needs a revision in ``migrations/versions``. All times are the database's, for people
to read: nothing is decided by them.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.types import UserDefinedType

metadata = MetaData()

# Of Optuna's tables, what our statements name.
optuna_studies = Table("studies", metadata, Column("study_id", Integer, primary_key=True))
optuna_trials = Table(
    "trials",
    metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("study_id", Integer),
    Column("number", Integer),
    Column("state", Text),
)
optuna_study_attributes = Table(
    "study_user_attributes",
    metadata,
    Column("study_id", Integer),
    Column("key", Text),
    Column("value_json", Text),
)
optuna_trial_attributes = Table(
    "trial_user_attributes",
    metadata,
    Column("trial_id", Integer),
    Column("key", Text),
)
optuna_intermediate_values = Table(
    "trial_intermediate_values",
    metadata,
    Column("trial_id", Integer),
    Column("step", Integer),
)

workers = Table(
    "histsearch_workers",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("process_id", Integer, nullable=False),
    Column("device", Text, nullable=False),
    Column("gpu", Text, comment="index by nvidia-smi; empty without a GPU"),
    Column(
        "slots",
        Integer,
        nullable=False,
        server_default="1",
        comment="of its device; a second on one of N counts 1/N second",
    ),
    Column("version", Text, nullable=False),
    Column(
        "grace_seconds",
        Double,
        nullable=False,
        comment="a heartbeat older than this means that the worker is gone",
    ),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("heartbeat_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("beats", BigInteger, nullable=False, server_default="0", comment="number of heartbeats"),
    Column(
        "serves",
        ARRAY(Text),
        nullable=False,
        server_default="{}",
        comment="names of the studies it serves; every study when empty",
    ),
    Column("ended_at", DateTime(timezone=True), comment="empty unless it ended in good order"),
    Column("activity", Text, nullable=False, server_default="starting"),
    Column("study", Text),
    Column("trial", Integer, comment="number within its study"),
    Column("epoch", Integer),
    Column("epochs", Integer),
    Column("images_per_second", Double),
    Column("memory_mib", Integer),
)

attempts = Table(
    "histsearch_attempts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column(
        "trial_id",
        Integer,
        ForeignKey("trials.trial_id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("number", Integer, nullable=False, comment="1 for the first attempt at a trial"),
    Column("worker_id", BigInteger, ForeignKey("histsearch_workers.id"), nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("resumed_after", Integer, comment="epoch of the checkpoint that it went on from"),
    Column("ended_at", DateTime(timezone=True)),
    Column("ending", Text),
    Column("reason", Text),
    UniqueConstraint("trial_id", "number", name="histsearch_attempts_number"),
    # A trial belongs to one worker at a time.
    Index(
        "histsearch_attempts_open",
        "trial_id",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("histsearch_attempts_worker", "worker_id"),
)

database = Table(
    "histsearch_database",
    metadata,
    Column("key", Text, primary_key=True, comment="random, drawn once"),
)


class TransactionNumber(UserDefinedType[str]):
    """PostgreSQL's ``xid8``: the number of a transaction, never used again."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Its name in SQL."""
        return "xid8"


changes = Table(
    "histsearch_changes",
    metadata,
    Column("study_id", Integer, nullable=False),
    Column("trial_id", Integer, nullable=False, comment="0 for the study itself"),
    Column(
        "changed_by",
        TransactionNumber,
        nullable=False,
        server_default=text("pg_current_xact_id()"),
        comment="the transaction",
    ),
    PrimaryKeyConstraint("study_id", "trial_id", "changed_by"),
    Index("histsearch_changes_of_study", "study_id", "changed_by"),
)
"""Filled by triggers on Optuna's tables; a trial has a row of each transaction that changed it."""

conclusions = Table(
    "histsearch_conclusions",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False, comment="what it was worked out for"),
    Column("worker_id", BigInteger, comment="who works it out; empty once it is"),
    Column("reason", Text, comment="why the study ends; empty if it doesn't"),
    Column("chance", Double),
)

OWN_TABLES = (workers, attempts, database, changes, conclusions)
