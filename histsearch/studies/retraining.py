"""Retraining: the chosen configurations over several seeds, as a study of their own."""

from typing import Any

from optuna.trial import FrozenTrial

import histsearch
from histsearch.exceptions import StudyError
from histsearch.search.space import Space
from histsearch.search.strategies import NoPrunerSettings, RandomSettings
from histsearch.studies.catalog import QueuedTrial, create_study
from histsearch.studies.definition import StudyDefinition, new_key
from histsearch.studies.study import IMAGES, Study
from histsearch.studies.trial_record import (
    BASELINE,
    EPOCHS,
    ROLE,
    SEED,
    SOURCE_TRIAL,
    TUNED,
)
from histsearch.training.hyperparameters import Value
from histsearch.wording import counted

SUFFIX = "-retrain"

# All trials are queued, so none is sampled; and the few values left are no grid.
_UNSAMPLED = {"sampler": RandomSettings(), "pruner": NoPrunerSettings()}


def create_retraining(
    study: Study, *, name: str | None = None, top: int = 1, seeds: int = 3, baseline: bool = False
) -> Study:
    """Create the study that retrains a search's best configurations on the full training half.

    Its trials are configurations x seeds, each for the number of epochs after which the search saw
    that configuration at its best (`Study.best_epoch`).

    Args:
        name: The new study's name; the search's with ``-retrain`` when left out.
        top: How many of the best configurations.
        seeds: Runs of each.
        baseline: Also retrain the search's first trial (the first configuration its space
            enqueued), for as many epochs as the best configuration; unless it is among the best,
            and so is retrained anyway.

    Raises:
        StudyError: the study is itself a retraining, has too few completed trials or no
            baseline, or the new name can't be used.
    """
    if top < 1 or seeds < 1:
        raise StudyError(
            f"found {counted(top, 'configuration')} x {counted(seeds, 'seed')}, allowed: 1 or more "
            "of each"
        )
    if study.definition.kind == "retrain":
        raise StudyError(
            f'found "{study.name}", itself a retraining; give the search it came from, '
            f'"{study.definition.source}"'
        )
    chosen = study.best(top)
    if len(chosen) < top:
        raise StudyError(
            f"found {counted(len(chosen), 'distinct completed configuration')} in "
            f'"{study.name}", needed: '
            f"{top}; run histsearch worker first, or give a smaller --top"
        )
    queue = [run for one in chosen for run in _runs(one, TUNED, seeds, study.best_epoch(one))]
    first = _baseline(study) if baseline else None
    if first is not None and all(one.params != first.params for one in chosen):
        queue += _runs(first, BASELINE, seeds, study.best_epoch(chosen[0]))
        chosen = [*chosen, first]
    definition = StudyDefinition(
        kind="retrain",
        version=histsearch.__version__,
        key=new_key(),
        space=_narrowed(study.definition.space, chosen),
        source=study.name,
        seeds=seeds,
    )
    return create_study(
        study.storage,
        name or study.name + SUFFIX,
        definition,
        budget=len(queue),
        queue=queue,
        attributes={
            key: value for key, value in study.optuna_study.user_attrs.items() if key == IMAGES
        },
    )


def _baseline(study: Study) -> FrozenTrial:
    if not study.definition.space.enqueue:
        raise StudyError(
            f'found no [[enqueue]] in the space of "{study.name}", so its first trial is no '
            "baseline; leave out --baseline"
        )
    return study.trials()[0]


def _runs(trial: FrozenTrial, role: str, seeds: int, epochs: int) -> list[QueuedTrial]:
    return [
        QueuedTrial(
            params={**trial.params, SEED: seed},
            user_attrs={ROLE: role, SOURCE_TRIAL: trial.number, EPOCHS: epochs},
        )
        for seed in range(seeds)
    ]


def _narrowed(space: Space, trials: list[FrozenTrial]) -> Space:
    """The same space with only the values that ``trials`` use."""
    values: dict[str, tuple[Value, ...]] = {
        name: tuple(dict.fromkeys(trial.params[name] for trial in trials)) for name in space.search
    }
    changes: dict[str, Any] = {"search": values, "enqueue": (), "gpu_hours": None, "decided": None}
    return space.model_copy(update={**changes, **_UNSAMPLED})
