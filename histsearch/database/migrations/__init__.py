"""Alembic's scripts for histsearch's own tables; `histsearch.database.migration` runs them."""
