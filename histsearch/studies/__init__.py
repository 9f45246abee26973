"""Studies in PostgreSQL: their definition, their queue of trials, their life."""
