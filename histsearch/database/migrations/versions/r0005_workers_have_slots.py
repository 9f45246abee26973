"""Workers say on how many slots their device runs trials."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Until now each device ran one trial at a time."""
    op.add_column(
        "histsearch_workers",
        sa.Column(
            "slots",
            sa.Integer,
            nullable=False,
            server_default="1",
            comment="of its device; a second on one of N counts 1/N second",
        ),
    )


def downgrade() -> None:
    """Forget it."""
    op.drop_column("histsearch_workers", "slots")
