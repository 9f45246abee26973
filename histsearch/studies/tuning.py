"""How a search is tuned, as it stands: its budget and its end may have been changed."""

from histsearch.space.likeness import Tuning
from histsearch.studies.catalog import PlannedSearch
from histsearch.studies.definition import SearchDefinition
from histsearch.studies.study import Study


def tuning_of(search: Study) -> Tuning:
    """How a search is tuned."""
    definition = search.definition
    assert isinstance(definition, SearchDefinition)
    return Tuning(definition.space, search.budget, *search.limits, search.warm_start)


def planned_tuning(planned: PlannedSearch) -> Tuning:
    """How a search will be tuned that is to be created without a warm start."""
    return Tuning(planned.definition.space, planned.budget, *planned.definition.limits)
