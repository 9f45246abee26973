"""What Alembic runs before the revisions: on the caller's connection, in its transaction."""

from alembic import context

from histsearch.database.migration import VERSION_TABLE
from histsearch.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
