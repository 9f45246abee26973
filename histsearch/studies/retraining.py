"""Retraining: the chosen configurations over several seeds, as a study of their own."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.space.configuration import Value
from histsearch.space.space import Space
from histsearch.studies.catalog import create_study, find_study
from histsearch.studies.chosen_configurations import Chosen
from histsearch.studies.definition import RetrainDefinition, SearchDefinition
from histsearch.studies.retraining_seeds import MOST_SEEDS, next_seeds, retrainings_of
from histsearch.studies.study import IMAGES, Study
from histsearch.studies.trial_record import BASELINE, TUNED
from histsearch.wording import counted

SUFFIX = "-retrain"


def create_retraining(
    study: Study, *, name: str | None = None, top: int = 1, seeds: int = 3, baseline: bool = False
) -> Study:
    """Create the study that retrains a search's best configurations on the full training half.

    Its trials are configurations x seeds. Each configuration is trained for as many epochs as the
    model of the search's curves expects it to gain by (`StudyPosterior.training_length`), the
    baseline too. The seeds are none of the search, and none of its other retrainings.

    Args:
        name: The new study's name; the search's with ``-retrain`` when left out.
        top: How many of the best configurations.
        seeds: Runs of each.
        baseline: Also retrain the search's first trial (the first configuration its space
            enqueued), unless it is among the best and so is retrained anyway.

    Raises:
        StudyError: The seeds are more than `MOST_SEEDS`, the study is itself a retraining, has too
            few completed trials or no baseline, or the new name can't be used.
    """
    if top < 1 or not 1 <= seeds <= MOST_SEEDS:
        raise StudyError(
            f"found {counted(top, 'configuration')} x {counted(seeds, 'seed')}, allowed: 1 or more "
            f"configurations x 1 to {MOST_SEEDS:,} seeds"
        )
    search = study.definition
    if search.source is not None:
        raise StudyError(
            f'found "{study.name}", itself a retraining; give the search it came from, '
            f'"{search.source}", or --add-seeds N for further runs'
        )
    chosen = _choose(study, search, top, baseline=baseline)
    values = _chosen_values(search.space, chosen)
    definition = RetrainDefinition.of(study.name, search, values)
    name = study.name + SUFFIX if name is None else name
    # Other retrainings of the search get their seeds before or after this one.
    with study.storage.lock(study.id):
        _check_is_new(study, name)
        free = next_seeds(study, seeds)
        queue = [run for one in chosen for run in one.runs(free)]
        return create_study(
            study.storage,
            name,
            definition,
            budget=len(queue),
            queue=queue,
            attributes={
                key: value for key, value in study.optuna_study.user_attrs.items() if key == IMAGES
            },
        )


def _check_is_new(search: Study, name: str) -> None:
    if any(study.name == name for study in retrainings_of(search)):
        raise StudyError(
            f'found a retraining named "{name}" already; give it more seeds with histsearch '
            f"retrain {name} --add-seeds N, choose another name with --name, or delete it with "
            f"histsearch study delete {name}"
        )


def _choose(study: Study, search: SearchDefinition, top: int, *, baseline: bool) -> list[Chosen]:
    posterior = study.posterior()
    trials = study.best(top, posterior)
    if len(trials) < top:
        raise StudyError(
            f'found {len(trials)} distinct completed configurations in "{study.name}", needed: '
            f"{top}; run histsearch worker first, or give a smaller --top"
        )
    roles = [(trial, TUNED) for trial in trials]
    first = _baseline(study, search.space) if baseline else None
    if first is not None and all(trial.params != first.params for trial in trials):
        roles.append((first, BASELINE))
    full = search.space.epochs
    return [
        Chosen(trial.params, role, trial.number, posterior.training_length(trial) or full)
        for trial, role in roles
    ]


def _baseline(study: Study, space: Space) -> FrozenTrial:
    if not space.enqueue:
        raise StudyError(
            f'found no [[enqueue]] in the space of "{study.name}", so its first trial is no '
            "baseline; leave out --baseline"
        )
    return study.trials()[0]


def _chosen_values(space: Space, chosen: Sequence[Chosen]) -> dict[str, tuple[Value, ...]]:
    """Of each searched parameter the values of the chosen configurations."""
    return {name: tuple(dict.fromkeys(one.params[name] for one in chosen)) for name in space.search}


def find_retraining(storage: Storage, study: str, name: str | None = None) -> tuple[Study, Study]:
    """A search and its retraining.

    Args:
        storage: The storage of both.
        study: The search, or the retraining itself.
        name: The retraining's name; the search's with ``-retrain`` when left out.

    Raises:
        StudyError: There is no such study, or the search has no such retraining.
    """
    found = find_study(storage, study)
    if found.definition.source is not None:
        if name not in (None, study):
            raise StudyError(
                f'found --name {name} for "{study}", itself a retraining; leave it out'
            )
        return find_study(storage, found.definition.source), found
    wanted = study + SUFFIX if name is None else name
    retrainings = {one.name: one for one in retrainings_of(found)}
    if not retrainings:
        raise StudyError(
            f'found no retraining of "{study}"; create one with histsearch retrain {study}'
        )
    if wanted not in retrainings:
        raise StudyError(
            f'found no retraining "{wanted}" of "{study}", allowed: {", ".join(retrainings)}; '
            "name one with --name"
        )
    return found, retrainings[wanted]
