"""Workers, and their attempts at trials."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create both tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "histsearch_workers",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("process_id", sa.Integer, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("gpu", sa.Text, comment="index by nvidia-smi; empty without a GPU"),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column(
            "grace_seconds",
            sa.Double,
            nullable=False,
            comment="a heartbeat older than this means that the worker is gone",
        ),
        sa.Column("started_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("heartbeat_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column(
            "steady_since",
            moment,
            nullable=False,
            server_default=sa.func.now(),
            comment="since when no heartbeat came later than half the grace after the one before",
        ),
        sa.Column("ended_at", moment, comment="empty unless it ended in good order"),
        sa.Column("activity", sa.Text, nullable=False, server_default="starting"),
        sa.Column("study", sa.Text),
        sa.Column("trial", sa.Integer, comment="number within its study"),
        sa.Column("epoch", sa.Integer),
        sa.Column("epochs", sa.Integer),
        sa.Column("images_per_second", sa.Double),
        sa.Column("memory_mib", sa.Integer),
    )
    op.create_table(
        "histsearch_attempts",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column(
            "trial_id",
            sa.Integer,
            sa.ForeignKey("trials.trial_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column(
            "number", sa.Integer, nullable=False, comment="1 for the first attempt at a trial"
        ),
        sa.Column(
            "worker_id", sa.BigInteger, sa.ForeignKey("histsearch_workers.id"), nullable=False
        ),
        sa.Column("started_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column(
            "resumed_after", sa.Integer, comment="epoch of the checkpoint that it went on from"
        ),
        sa.Column("ended_at", moment),
        sa.Column("ending", sa.Text),
        sa.Column("reason", sa.Text),
        sa.UniqueConstraint("trial_id", "number", name="histsearch_attempts_number"),
    )
    op.create_index(
        "histsearch_attempts_open",
        "histsearch_attempts",
        ["trial_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("histsearch_attempts_worker", "histsearch_attempts", ["worker_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("histsearch_attempts")
    op.drop_table("histsearch_workers")
