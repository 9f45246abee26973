"""The seeds of retrainings: none that the search trained with, and none twice for one search."""

import optuna

from histsearch.exceptions import StudyError
from histsearch.studies.catalog import list_studies
from histsearch.studies.chosen_configurations import chosen_configurations, planned
from histsearch.studies.study import BUDGET, Study
from histsearch.studies.trial_record import SEED
from histsearch.wording import counted

FIRST_SEED = 1_000_000
"""How far above a search's own seed those of its retrainings begin.

Its trials have the seeds from its own on, one each.
"""


MOST_SEEDS = 1_000
"""Runs of each configuration that are queued at once; ten tell apart what is worth it."""


def retrainings_of(search: Study) -> list[Study]:
    """The retrainings of a search, by name."""
    return [
        study for study in list_studies(search.storage) if study.definition.source == search.name
    ]


def next_seeds(search: Study, number: int) -> range:
    """So many seeds that no retraining of a search has used.

    The caller holds the search's lock until they are stored.
    """
    before_first = search.definition.space.protocol.seed + FIRST_SEED - 1
    plans = (planned(trial) for study in retrainings_of(search) for trial in study.trials())
    last = max([before_first, *(plan[SEED] for plan in plans if SEED in plan)])
    return range(last + 1, last + 1 + number)


def add_seeds(search: Study, retraining: Study, number: int) -> range:
    """Queue further runs of every configuration of a retraining, with seeds not used yet.

    All of them or none. A retraining that had finished goes on.

    Args:
        search: The search.
        retraining: Its retraining.
        number: Runs of each configuration.

    Returns:
        Their seeds.

    Raises:
        StudyError: The retraining is of another release line or was deleted, or the number is
            below 1 or above `MOST_SEEDS`.
    """
    check_seeds(retraining, number)
    try:
        with search.storage.lock(search.id):
            seeds = next_seeds(search, number)
            _enqueue(retraining, seeds)
    except KeyError:
        raise StudyError(
            f'found no study "{retraining.name}" any more; it was deleted just now'
        ) from None
    return seeds


def check_seeds(retraining: Study, number: int) -> None:
    """Check that so many seeds can be added to a retraining.

    Raises:
        StudyError: As `add_seeds`.
    """
    if not 1 <= number <= MOST_SEEDS:
        raise StudyError(
            f"found {counted(number, 'seed')} to add, allowed: 1 to {MOST_SEEDS:,} at once"
        )
    retraining.definition.check_version(retraining.name)


def _enqueue(retraining: Study, seeds: range) -> None:
    with retraining.storage.lock(retraining.id) as connection:
        within = retraining.storage.optuna_within(connection)
        queue = [run for one in chosen_configurations(retraining) for run in one.runs(seeds)]
        optuna_study = optuna.load_study(study_name=retraining.name, storage=within)
        for run in queue:
            optuna_study.enqueue_trial(dict(run.params), user_attrs=dict(run.user_attrs))
        within.set_study_user_attr(retraining.id, BUDGET, retraining.budget + len(queue))
