"""How fast the database is asked: by workers, and by commands."""
