"""What the paper calls the parameters of its figures."""

from collections.abc import Mapping

from histsearch.space.configuration import Value
from histsearch.wording import value_text

_SYMBOLS = {
    "batch_size": "Nb",
    "hgnn_layers": "L",
    "alpha": "α",
    "tau": "τ",
    "lambda_s": "λs",
    "embedding_size": "embedding size",
    "hgnn_hidden": "HGNN width",
}
_MEANINGS = {
    "batch_size": "batch size Nb",
    "hgnn_layers": "number of HGNN layers L",
    "alpha": "scaling factor α",
    "tau": "temperature τ",
    "lambda_s": "scaling parameter λs",
}


def symbol(parameter: str) -> str:
    """The paper's symbol of a parameter, such as "Nb"; its own name where that has none."""
    return _SYMBOLS.get(parameter, parameter)


def meaning(parameter: str) -> str:
    """A parameter with its symbol, such as "batch size Nb"."""
    return _MEANINGS.get(parameter, symbol(parameter))


def point_text(point: Mapping[str, Value]) -> str:
    """Values of a grid's point by their symbols, such as "τ 24, λs 0.6"."""
    return ", ".join(f"{symbol(name)} {value_text(value)}" for name, value in point.items())
