"""``python -m histsearch`` is the ``histsearch`` command."""

from histsearch.cli.main import main

main()
