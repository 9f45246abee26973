"""The baselines of a search: the first of its queue, and those that its space names."""

from collections.abc import Iterable, Mapping, Sequence

from histsearch.exceptions import StudyError
from histsearch.space.baselines import FIRST, Baseline
from histsearch.space.configuration import Value
from histsearch.space.space import Space
from histsearch.space.usual_values import usual_values
from histsearch.studies.chosen_configurations import planned
from histsearch.studies.definition import SearchDefinition
from histsearch.studies.study import Study


def known_baselines(search: Study) -> dict[str, Baseline]:
    """The baselines of a search, by name: first that of its queue, where its space fills one.

    Of a configuration that was enqueued in part, and waits, the rest isn't known yet; it is none.
    """
    assert isinstance(search.definition, SearchDefinition)
    space = search.definition.space
    found = [*space.baselines]
    trials = search.trials() if space.enqueue else []
    if trials and space.search.keys() <= planned(trials[0]).keys():
        found.insert(0, Baseline(FIRST, planned(trials[0]), None))
    return {baseline.name: baseline for baseline in found}


def find_baselines(search: Study, names: Sequence[str]) -> list[Baseline]:
    """The baselines of these names, each once.

    Raises:
        StudyError: The search has none of a name.
    """
    known = known_baselines(search) if names else {}
    for name in names:
        if name not in known:
            allowed = ", ".join(known) or (
                "none, as its space holds neither [[enqueue]] nor [[baseline]]; leave it out"
            )
            raise StudyError(f'found the baseline "{name}" of "{search.name}", allowed: {allowed}')
    return [known[name] for name in dict.fromkeys(names)]


def usual_beside(space: Space, baselines: Iterable[Baseline]) -> Mapping[str, Value]:
    """What parameters are where a configuration leaves them out, as far as baselines need it.

    Raises:
        SpaceError: The timm of this machine has no such model.
    """
    known = {**space.parameters.defaults, **space.fixed}
    needed = {name for one in baselines for name in (*space.search, *one.values)}
    # The backbone is looked up only where it has to be, as that may import torch.
    return known if needed <= known.keys() else usual_values(space)


def is_baseline(
    baseline: Baseline,
    usual: Mapping[str, Value],
    params: Mapping[str, Value],
    epochs: int | None,
) -> bool:
    """Whether a configuration is a baseline: of the same values, and trained for as many epochs.

    Args:
        baseline: The baseline; without epochs of its own it is trained for those of the other.
        usual: What parameters are where either leaves them out.
        params: The configuration.
        epochs: For how many epochs it is trained; None where that isn't known.
    """
    same = {**usual, **baseline.values} == {**usual, **params}
    return same and baseline.epochs in (None, epochs)


def baselines_like(search: Study, params: Mapping[str, Value], epochs: int | None) -> list[str]:
    """The names of the baselines that a configuration of a search is; as `is_baseline`."""
    assert isinstance(search.definition, SearchDefinition)
    space = search.definition.space
    # What a backbone has for its own isn't looked up: a report needs no timm.
    usual = {**space.parameters.defaults, **space.fixed}
    known = known_baselines(search)
    return [name for name, one in known.items() if is_baseline(one, usual, params, epochs)]
