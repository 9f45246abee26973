"""A report as a document: its sections, its tables and figures, and the files it is written to."""
