"""Heartbeats are counted; workers say which studies they serve."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Tell heartbeats apart by their number, which no clock can set back."""
    op.add_column(
        "histsearch_workers",
        sa.Column(
            "beats",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="number of heartbeats",
        ),
    )
    op.add_column(
        "histsearch_workers",
        sa.Column(
            "serves",
            sa.ARRAY(sa.Text),
            nullable=False,
            server_default="{}",
            comment="names of the studies it serves; every study when empty",
        ),
    )
    op.drop_column("histsearch_workers", "steady_since")


def downgrade() -> None:
    """Judge by times again."""
    op.add_column(
        "histsearch_workers",
        sa.Column(
            "steady_since",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
            comment="since when no heartbeat came later than half the grace after the one before",
        ),
    )
    op.drop_column("histsearch_workers", "serves")
    op.drop_column("histsearch_workers", "beats")
