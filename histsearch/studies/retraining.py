"""Retraining: the chosen configurations over several seeds, as a study of their own."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from optuna.trial import FrozenTrial
from pydantic import ValidationError

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.space.baselines import Baseline
from histsearch.space.configuration import Value
from histsearch.space.contradictions import reason_of_clash
from histsearch.space.space import Space
from histsearch.studies.baselines import find_baselines, is_baseline, usual_beside
from histsearch.studies.catalog import NewStudy, check_name, create_studies, find_study
from histsearch.studies.chosen_configurations import Chosen, Origin, planned
from histsearch.studies.definition import RetrainDefinition, SearchDefinition
from histsearch.studies.retraining_seeds import MOST_SEEDS, next_seeds, retrainings_of
from histsearch.studies.study import IMAGES, Study
from histsearch.studies.trial_record import BASELINE, TUNED
from histsearch.wording import counted

SUFFIX = "-retrain"

USUAL_SEEDS = 5
"""Runs of each configuration; a report takes as many for a verdict."""


class _Planned(NamedTuple):
    """A retraining before it is created.

    Attributes:
        search: The search whose configurations it trains.
        name: Its name.
        definition: What it will be.
        chosen: The configurations.
        seeds: Runs of each.
    """

    search: Study
    name: str
    definition: RetrainDefinition
    chosen: Sequence[Chosen]
    seeds: int


def create_retraining(
    study: Study,
    *,
    name: str | None = None,
    top: int = 1,
    seeds: int = USUAL_SEEDS,
    baselines: Sequence[str] = (),
) -> Study:
    """Create the study that retrains a search's best configurations on the full training half.

    Its trials are configurations x seeds. Each of the best configurations is trained for as many
    epochs as the model of the search's curves expects it to gain by
    (`StudyPosterior.training_length`), a baseline for the number that the space gives it, else for
    the winner's. The seeds are none of the search, and none of its other retrainings.

    Args:
        study: The search.
        name: The new study's name; the search's with ``-retrain`` when left out.
        top: How many of the best configurations.
        seeds: Runs of each.
        baselines: Names of baselines to retrain beside them. One that is among the best itself, or
            is another of them, isn't trained twice.

    Raises:
        StudyError: The seeds are more than `MOST_SEEDS`, the study is itself a retraining, has too
            few completed trials or no such baseline, or the new name can't be used.
    """
    planned = _plan(study, top, seeds, baselines, study.name + SUFFIX if name is None else name)
    (retraining,) = _create([planned])
    return retraining


def create_retrainings(
    searches: Sequence[Study],
    *,
    top: int = 1,
    seeds: int = USUAL_SEEDS,
    baselines: Sequence[str] = (),
) -> list[Study]:
    """Create a retraining of each search, as `create_retraining` does, by its usual name.

    All are checked before any is created, and created in one transaction.

    Args:
        searches: The searches, at least one, of one storage.
        top: As of `create_retraining`.
        seeds: As of `create_retraining`.
        baselines: As of `create_retraining`.

    Raises:
        StudyError: As `create_retraining`, with the faults of all searches.
    """
    planned: list[_Planned] = []
    faults: list[str] = []
    for one in searches:
        try:
            planned.append(_plan(one, top, seeds, baselines, one.name + SUFFIX))
        except StudyError as error:
            faults += error.lines
    if faults:
        raise StudyError(*dict.fromkeys(faults))
    return _create(planned)


def _plan(study: Study, top: int, seeds: int, baselines: Sequence[str], name: str) -> _Planned:
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
    chosen = _choose(study, search, top, find_baselines(study, baselines))
    definition = _definition(study, search, chosen)
    _check_is_new(study, name)
    check_name(study.storage, name)
    return _Planned(study, name, definition, chosen, seeds)


def _create(several: Sequence[_Planned]) -> list[Study]:
    storage = several[0].search.storage
    # Other retrainings of the searches get their seeds before or after these.
    with storage.lock(*(one.search.id for one in several)):
        for one in several:
            _check_is_new(one.search, one.name)
        return create_studies(storage, [_new_study(one) for one in several])


def _new_study(planned: _Planned) -> NewStudy:
    search = planned.search
    free = next_seeds(search, planned.seeds)
    queue = [run for one in planned.chosen for run in one.runs(free)]
    attributes = {
        key: value for key, value in search.optuna_study.user_attrs.items() if key == IMAGES
    }
    return NewStudy(planned.name, planned.definition, len(queue), queue, attributes)


def _check_is_new(search: Study, name: str) -> None:
    if any(study.name == name for study in retrainings_of(search)):
        raise StudyError(
            f'found a retraining named "{name}" already; give it more seeds with histsearch '
            f"retrain {name} --add-seeds N, create another with histsearch retrain {search.name} "
            f"--name NAME, or delete it with histsearch study delete {name}"
        )


def _choose(
    study: Study, search: SearchDefinition, top: int, baselines: Sequence[Baseline]
) -> list[Chosen]:
    """The best configurations, then the baselines; each with the parameters in which any differ."""
    posterior = study.posterior()
    trials = study.best(top, posterior)
    if len(trials) < top:
        raise StudyError(
            f'found {len(trials)} distinct completed configurations in "{study.name}", needed: '
            f"{top}; run histsearch worker first, or give a smaller --top"
        )
    space = search.space
    usual = usual_beside(space, baselines)
    chosen = [
        Chosen(
            {**usual, **trial.params},
            Origin(TUNED, trial.number),
            posterior.training_length(trial) or space.epochs,
        )
        for trial in trials
    ]
    for baseline in baselines:
        values = {**usual, **baseline.values}
        _add(chosen, baseline, usual, _trial_of(study, usual, values))
    return _with_what_differs(space, chosen)


def _trial_of(
    study: Study, usual: Mapping[str, Value], values: Mapping[str, Value]
) -> FrozenTrial | None:
    """The first trial of a search with these values."""
    searched = study.definition.space.search.keys()
    for trial in study.trials():
        params = planned(trial)
        if searched <= params.keys() and {**usual, **params} == values:
            return trial
    return None


def _add(
    chosen: list[Chosen],
    baseline: Baseline,
    usual: Mapping[str, Value],
    source: FrozenTrial | None,
) -> None:
    """Add a baseline to what is trained, or its name to that which is the same."""
    for place, one in enumerate(chosen):
        if is_baseline(baseline, usual, one.params, one.epochs):
            origin = one.origin._replace(also=(*one.origin.also, baseline.name))
            chosen[place] = one._replace(origin=origin)
            return
    origin = Origin(BASELINE, None if source is None else source.number, baseline.name)
    values = {**usual, **baseline.values}
    chosen.append(Chosen(values, origin, baseline.epochs or chosen[0].epochs))


def _with_what_differs(space: Space, chosen: Sequence[Chosen]) -> list[Chosen]:
    """The same with the searched parameters, and of the others those in which any two differ."""
    every = dict.fromkeys(name for one in chosen for name in one.params)
    others = [
        name
        for name in every
        if name not in space.search
        and any(one.params.get(name) != chosen[0].params.get(name) for one in chosen)
    ]
    names = [*space.search, *others]
    for one in chosen:
        missing = [name for name in names if name not in one.params]
        if missing:
            raise StudyError(
                f"found baselines that differ in {missing[0]}, which {one.label} leaves to "
                f"{space.backbone}, unknown here; run retrain where its package is installed, or "
                "leave --baseline out"
            )
    return [one._replace(params={name: one.params[name] for name in names}) for one in chosen]


def _definition(
    study: Study, search: SearchDefinition, chosen: Sequence[Chosen]
) -> RetrainDefinition:
    values = {
        name: tuple(dict.fromkeys(one.params[name] for one in chosen)) for name in chosen[0].params
    }
    try:  # it is checked like any other space, with its values in all combinations
        return RetrainDefinition.of(study.name, search, values)
    except ValidationError as error:
        raise StudyError(
            "found configurations that can't stand in one retraining "
            f"({reason_of_clash(error)}); give fewer --baseline"
        ) from None


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
