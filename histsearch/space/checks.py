"""Checks of parameters' names and values, by themselves and against what a space searches."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from histsearch.exceptions import SpaceError
from histsearch.space.configuration import Value
from histsearch.space.known_parameters import KnownParameters
from histsearch.space.parameters import Parameter, Range
from histsearch.space.refusals import RefusedError, refuse_all, refused, show
from histsearch.wording import shortened

_LONGEST_LIST = 2_000


def check_values(table: str, values: Mapping[str, object], known: KnownParameters) -> None:
    """Check names and values of parameters that stand under ``table``.

    Raises:
        SpaceError: There is no such parameter, or it can't take the value; a line for each.
    """
    try:
        refuse_all(
            fault
            for name, value in values.items()
            if (fault := value_fault(table, name, value, known))
        )
    except RefusedError as fault:
        raise SpaceError(*fault.lines) from None


def value_fault(
    table: str, name: str, value: object, known: KnownParameters
) -> RefusedError | None:
    """Why a value under ``table`` can't be used; None if it can."""
    if not known.has(name):
        return unknown_name(table, name, known)
    if not known.is_valid_value(name, value):
        return refused(f"{table}.{name}", show(value), known.allowed_values(name))
    return None


def unknown_name(table: str, name: str, known: KnownParameters) -> RefusedError:
    """What to say of a name that no parameter has."""
    if name in known.objects:
        return refused(
            table, show(name), "numbers, words and switches; it takes an object, so leave it out"
        )
    dotted = [one for one in known.names if one.startswith(f"{name}.")]
    near = get_close_matches(name, known.names, n=1)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    if dotted:  # TOML takes a bare miner.margin for a table
        hint = f'names with a dot in quotes, as in "{dotted[0]}" = ...; '
    return refused(table, show(name), f"{hint}one of {', '.join(known.names)}")


def configuration_faults(
    key: str,
    search: Mapping[str, Parameter],
    configuration: Mapping[str, Value],
    known: KnownParameters,
) -> Iterator[RefusedError]:
    """What of a configuration ``search`` doesn't hold."""
    if not configuration:
        yield refused(key, "nothing", f"values for {', '.join(search)}")
    for name, value in configuration.items():
        parameter = search.get(name)
        if parameter is None:
            yield refused(key, show(name), f"searched parameters: {', '.join(search)}")
        elif not (_holds(name, parameter, value, known) and known.is_valid_value(name, value)):
            yield refused(f"{key}.{name}", show(value), _allowed(parameter, value))


def _allowed(parameter: Parameter, value: object) -> str:
    """What a configuration may have instead of a value."""
    is_list = isinstance(value, list | tuple)
    if isinstance(parameter, Range):
        return f"one value, {parameter}" if is_list else str(parameter)
    if is_list:
        return f"one value, of {shortened(', '.join(map(show, parameter)))}"
    return f"one of {show(parameter, _LONGEST_LIST)}"


def _holds(name: str, parameter: Parameter, value: object, known: KnownParameters) -> bool:
    if not isinstance(parameter, Range):
        return value in parameter
    if known.is_whole(name, parameter.numbers) and not isinstance(value, int):
        return False
    return parameter.holds(value)
