"""The searches that are compared.

Each is a module of its own, imported when it is asked for, so that a method's packages are needed
for that method alone. ``benchmarks/search/peers.txt`` lists those of the peers.
"""

from importlib import import_module

from benchmarks.search.simulator import Problem, Search

METHODS = {
    "freeze-thaw": "ours",
    "freeze-thaw-warm": "ours",
    "freeze-thaw-misled": "ours",
    "random": "optuna_methods",
    "random-model-answer": "ours",
    "tpe-multivariate-median": "optuna_methods",
    "tpe-multivariate-median-warmup": "optuna_methods",
    "tpe-multivariate-hyperband": "optuna_methods",
    "tpe-univariate-median": "optuna_methods",
    "gp-halving": "optuna_methods",
    "smac": "smac_methods",
    "asha": "syne_tune_methods",
    "bohb": "syne_tune_methods",
    "ashabore": "syne_tune_methods",
    "ashacqr": "syne_tune_methods",
    "dyhpo": "syne_tune_old_methods",
    "mobster": "syne_tune_old_methods",
    "hypertune": "syne_tune_old_methods",
}
"""Name of each method, and the module that builds it."""
NEEDS_EARLIER = ("freeze-thaw-warm", "freeze-thaw-misled")
"""Methods that begin with what they learned on another table."""


def missing_package(method: str) -> str | None:
    """The package that a method needs and this environment hasn't; None if it has all."""
    try:
        import_module(f"{__name__}.{METHODS[method]}")
    except ModuleNotFoundError as error:
        return error.name
    return None


def build(method: str, problem: Problem, seed: int) -> Search:
    """A search by a method, ready to begin."""
    module = import_module(f"{__name__}.{METHODS[method]}")
    search: Search = module.build(method, problem, seed)
    return search
