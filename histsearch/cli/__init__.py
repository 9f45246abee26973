"""The ``histsearch`` command: argument parsing, tables and exit codes, no logic of its own."""
