"""Studies of the claims' grids whose runs are made up."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from histsearch.database.storage import Storage
from histsearch.reports.claims.grid_files import GRID_FILES
from histsearch.reports.claims.grid_scores import points_of
from histsearch.space.reading import load_space
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.study import Study

SMALL = "claims/small"
SPREAD = (-0.004, -0.002, 0.0, 0.002, 0.004)
"""What the scores of five seeds lie about their mean."""

Means = Callable[[Mapping[str, Any]], float]


def claim_study(storage: Storage, stem: str, folder: str = SMALL) -> Study:
    """A new study of a space that comes with histsearch."""
    return create_search(storage, load_space(f"{folder}/{stem}"))


def a_run(
    study: Study,
    values: Mapping[str, Any],
    seed: int,
    score: float | None,
    state: TrialState = TrialState.COMPLETE,
    **attributes: Any,
) -> FrozenTrial:
    """A run that has ended."""
    return create_trial(
        state=state,
        value=score,
        params=dict(values),
        distributions=study.definition.distributions(),
        user_attrs={
            trial_record.SEED: seed,
            trial_record.SECONDS: 36.0,
            trial_record.DEVICE: "a processor",
            trial_record.COMMIT: "c0ffee",
            **attributes,
        },
    )


def add_runs(study: Study, runs: Iterable[FrozenTrial]) -> None:
    """Give a study runs, in one transaction, which is quicker."""
    with study.storage.begin() as connection:
        within = study.storage.optuna_within(connection)
        for run in runs:
            within.create_new_trial(study.id, run)


def fill(study: Study, stem: str, mean: Means, seeds: Iterable[int] = range(5)) -> None:
    """Give each point of a grid its runs, about a mean that its values say."""
    parameters = GRID_FILES[stem].parameters
    points = points_of(study.definition.space, parameters)
    named = [dict(zip(parameters, point, strict=True)) for point in points]
    add_runs(
        study,
        [
            a_run(study, values, seed, mean(values) + SPREAD[seed])
            for values in named
            for seed in seeds
        ],
    )


def _by_batch_size(values: Mapping[str, Any]) -> float:
    return 0.70 if values["batch_size"] < 32 else 0.80


def _by_layers(values: Mapping[str, Any]) -> float:
    return 0.80 + 0.001 * float(values["hgnn_layers"])


def _by_alpha(values: Mapping[str, Any]) -> float:
    return 0.70 if values["alpha"] == 0 else 0.80


def _by_tau(values: Mapping[str, Any]) -> float:
    return (0.78 if values["tau"] == 8 else 0.80) + 0.014 * float(values["lambda_s"])


def _by_sizes(values: Mapping[str, Any]) -> float:
    return 0.80 if values["embedding_size"] == values["hgnn_hidden"] else 0.75


def _by_distance(values: Mapping[str, Any]) -> float:
    return {"mahalanobis": 0.80, "cosine": 0.79, "euclidean": 0.77}.get(values["distance"], 0.6)


MEANS: Mapping[str, Means] = {
    "claim1-batch_size": _by_batch_size,
    "claim2-hgnn_layers": _by_layers,
    "claim3-alpha": _by_alpha,
    "claim4-figure3b-tau-lambda_s": _by_tau,
    "figure3a-embedding_size-hgnn_hidden": _by_sizes,
    "table4-distance": _by_distance,
}
"""By file a mean for each point: of claims 1 to 4 one isn't supported, two are, one is in doubt."""


def fill_all(storage: Storage, folder: str = SMALL) -> None:
    """Studies of all files of a folder, with five runs a point."""
    for stem, mean in MEANS.items():
        fill(claim_study(storage, stem, folder), stem, mean)
