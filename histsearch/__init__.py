"""histsearch: hyperparameter search service for the HIST loss in deep metric learning."""

from importlib.metadata import version

__version__ = version("histsearch")
