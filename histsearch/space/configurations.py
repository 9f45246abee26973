"""Checks of hyperparameters' names and values, by themselves and against what a space searches."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from histsearch.exceptions import SpaceError
from histsearch.space import hyperparameters
from histsearch.space.hyperparameters import Value
from histsearch.space.parameters import Parameter, Range
from histsearch.space.refusals import RefusedError, refuse_all, refused, show

_LONGEST_LIST = 2_000


def check_hyperparameters(table: str, values: Mapping[str, object]) -> None:
    """Check names and values of hyperparameters that stand under ``table``.

    Raises:
        SpaceError: There is no such hyperparameter, or it can't take the value; a line for each.
    """
    try:
        refuse_all(
            fault for name, value in values.items() if (fault := value_fault(table, name, value))
        )
    except RefusedError as fault:
        raise SpaceError(*fault.lines) from None


def value_fault(table: str, name: str, value: object) -> RefusedError | None:
    """Why a value under ``table`` can't be used; None if it can."""
    if name not in hyperparameters.NAMES:
        return unknown_name(table, name)
    if not hyperparameters.is_valid(name, value):
        return refused(f"{table}.{name}", show(value), hyperparameters.allowed(name))
    return None


def unknown_name(table: str, name: str) -> RefusedError:
    """What to say of a name that no hyperparameter has."""
    near = get_close_matches(name, hyperparameters.NAMES, n=1)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    return refused(table, show(name), f"{hint}one of {', '.join(hyperparameters.NAMES)}")


def configuration_faults(
    key: str, search: Mapping[str, Parameter], configuration: Mapping[str, Value]
) -> Iterator[RefusedError]:
    """What of a configuration ``search`` doesn't hold."""
    if not configuration:
        yield refused(key, "nothing", f"values for {', '.join(search)}")
    for name, value in configuration.items():
        parameter = search.get(name)
        if parameter is None:
            yield refused(key, show(name), f"searched hyperparameters: {', '.join(search)}")
        elif not _holds(parameter, name, value):
            one_of = (
                str(parameter)
                if isinstance(parameter, Range)
                else f"one of {show(parameter, _LONGEST_LIST)}"
            )
            yield refused(f"{key}.{name}", show(value), one_of)


def _holds(parameter: Parameter, name: str, value: object) -> bool:
    inside = parameter.holds(value) if isinstance(parameter, Range) else value in parameter
    return inside and hyperparameters.is_valid(name, value)
