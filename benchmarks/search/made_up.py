"""Tables of made-up curves, to see what a search does where things are hard for it.

    python -m benchmarks.search.made_up crossing > crossing.jsonl

Two whose first epochs mislead, for what rises fastest ends lower: `crossing` has 375 configurations
of 20 epochs, whose learning rate decides how fast R@1 rises; `late` has 450 of 60 epochs, where the
batch size does, and a large τ makes it fall in the end. Two in which a search may be sure too soon:
of the 108 configurations of `cliff` those with a learning rate beyond the best collapse; `few` has
12, which differ by less than two seeds of one do. The curves are formulas and luck, not what the
search takes them for.
"""

# G = configurations, D = parameters, E = epochs

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from benchmarks.search.recording import Array
from benchmarks.search.table import PERCENT


class Kind(NamedTuple):
    """What a table is made of.

    Attributes:
        values: Of each parameter.
        epochs: Of each run.
        luck: Standard deviation between seeds, in points of R@1.
        seeds: Runs of each configuration.
    """

    values: Mapping[str, Sequence[float]]
    epochs: int
    luck: float
    seeds: int


KINDS = {
    "crossing": Kind(
        {
            "lr": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3),
            "tau": (4, 8, 16, 32, 64),
            "lambda_s": (0.1, 0.3, 1, 2, 4),
            "batch_size": (16, 32, 64),
        },
        epochs=20,
        luck=0.8,
        seeds=1,
    ),
    "late": Kind(
        {
            "lambda_s": (0.5, 1, 2, 4, 8),
            "alpha": (0.5, 0.9, 1.1, 1.5, 2.1, 2.5),
            "tau": (12, 16, 24, 32, 48),
            "batch_size": (32, 64, 96),
        },
        epochs=60,
        luck=0.5,
        seeds=2,
    ),
    "cliff": Kind(
        {
            "lr": (1e-5, 1e-4, 1e-3, 1e-2),
            "tau": (16, 24, 32),
            "lambda_s": (0.5, 1.0, 1.5),
            "batch_size": (16, 32, 64),
        },
        epochs=12,
        luck=1.0,
        seeds=3,
    ),
    "few": Kind(
        {"tau": (4, 8, 16, 32), "lambda_s": (0.5, 1, 2)},
        epochs=10,
        luck=3.0,
        seeds=40,
    ),
}


class _Shape(NamedTuple):
    """Each configuration's R@1 in the end, the epochs it takes to rise, and a decline's points."""

    ends_G: Array
    paces_G: Array
    declines_G: Array


def _crossing(places_GD: Array) -> _Shape:
    lr_G, tau_G, lambda_G, batch_G = places_GD.T
    ends_G = 60.0 - 12.0 * np.abs(lr_G - 0.35) ** 1.5 - 5.0 * (tau_G - 0.77) ** 2
    ends_G -= 2.0 * (lambda_G - 0.29) ** 2 + 3.0 * batch_G
    return _Shape(ends_G, 1.0 + 12.0 * (1.0 - lr_G), np.zeros_like(ends_G))


def _late(places_GD: Array) -> _Shape:
    lambda_G, alpha_G, tau_G, batch_G = places_GD.T
    ends_G = 75.0 - 2.0 * (lambda_G - 0.51) ** 2 - 1.6 * (alpha_G - 0.77) ** 2
    ends_G -= 10.0 * (tau_G - 0.29) ** 2 + 12.0 * (batch_G - 0.77) ** 2
    ends_G += np.sin(5.0 * tau_G + 3.0 * batch_G)
    return _Shape(ends_G, 4.0 + 8.0 * batch_G, 2.0 * np.maximum(0.0, tau_G - 0.5))


def _cliff(places_GD: Array) -> _Shape:
    lr_G, tau_G, lambda_G, batch_G = places_GD.T
    ends_G = 54.0 + 18.0 * lr_G - 6.0 * batch_G
    ends_G -= 4.0 * np.abs(tau_G - 0.5) + 4.0 * np.abs(lambda_G - 0.5)
    ends_G = np.where(lr_G > 0.5, 2.0, ends_G)
    return _Shape(ends_G, np.full_like(ends_G, 4.0), np.zeros_like(ends_G))


def _few(places_GD: Array) -> _Shape:
    tau_G, lambda_G = places_GD.T
    ends_G = 64.0 - 9.0 * (tau_G - 0.33) ** 2 - 0.5 * lambda_G
    return _Shape(ends_G, np.full_like(ends_G, 3.0), np.zeros_like(ends_G))


_SHAPES = {"crossing": _crossing, "late": _late, "cliff": _cliff, "few": _few}


def made_up(name: str) -> Iterator[str]:
    """The lines of a table of `KINDS`, the same at every call."""
    kind = KINDS[name]
    rng = np.random.default_rng(0)
    grid = [dict(zip(kind.values, one, strict=True)) for one in product(*kind.values.values())]
    places_GD = np.array(
        [
            [values.index(one[which]) / (len(values) - 1) for which, values in kind.values.items()]
            for one in grid
        ]
    )
    epochs_E = np.arange(1, kind.epochs + 1)
    in_second_half_E = np.maximum(0.0, 2.0 * epochs_E / kind.epochs - 1.0)
    for params, *shape in zip(grid, *_SHAPES[name](places_GD), strict=True):
        end, pace, decline = shape
        for seed in range(kind.seeds):
            risen_E = 1.0 - 0.6 * np.exp(-epochs_E / pace)
            curve_E = (end + kind.luck * rng.normal()) * risen_E - decline * in_second_half_E
            curve_E += 0.4 * kind.luck * rng.normal(size=kind.epochs)
            curve_E = np.clip(curve_E, 0.0, PERCENT)
            yield json.dumps(
                {
                    "params": params,
                    "seed": seed,
                    "curve": (curve_E / PERCENT).round(5).tolist(),
                    "seconds": kind.epochs * (1.0 + 64.0 / params.get("batch_size", 64)),
                }
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=KINDS)
    print("\n".join(made_up(parser.parse_args().name)))


if __name__ == "__main__":
    main()
