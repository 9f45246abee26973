"""A key of the database, by which files elsewhere say that they are its own."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table and draw the key."""
    table = op.create_table(
        "histsearch_database",
        sa.Column("key", sa.Text, primary_key=True, comment="random, drawn once"),
    )
    op.bulk_insert(table, [{"key": secrets.token_hex(4)}])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("histsearch_database")
