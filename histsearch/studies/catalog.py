"""The studies of a storage: create, find, list and delete them."""

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import BaseStorage
from pydantic import ValidationError
from sqlalchemy import select

import histsearch
from histsearch.database.storage import Storage
from histsearch.database.tables import attempts, optuna_trials
from histsearch.exceptions import StudyError
from histsearch.search.distributions import optuna_distributions
from histsearch.search.freeze_thaw_parameters import space_of
from histsearch.search.warm_start import EARLIER_STUDIES, learn, to_json
from histsearch.space.names import NAME_ALLOWED, NAME_PATTERN
from histsearch.space.providers import providers
from histsearch.space.space import Space
from histsearch.space.strategies import MOST_TRIALS, SAMPLERS
from histsearch.space.usual_values import usual_values
from histsearch.studies.definition import (
    SearchDefinition,
    StudyDefinition,
    new_key,
    read_definition,
)
from histsearch.studies.half_created import half_created
from histsearch.studies.stages import PAUSED
from histsearch.studies.study import BUDGET, DEFINITION, SELECTION, Study
from histsearch.wording import counted

if TYPE_CHECKING:
    from histsearch.freeze_thaw.earlier_study import EarlierStudy


@dataclass(frozen=True)
class QueuedTrial:
    """A configuration that a new study starts with."""

    params: Mapping[str, Any]
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


class PlannedSearch(NamedTuple):
    """The study of a search space before it is created.

    Attributes:
        name: The study's name.
        definition: What it will be.
        budget: The trial budget.
    """

    name: str
    definition: SearchDefinition
    budget: int


def plan_search(
    space: Space, *, name: str | None = None, trials: int | None = None
) -> PlannedSearch:
    """What `create_search` makes of a space; no database is asked.

    Args:
        space: The space.
        name: The study's name; the space's when left out.
        trials: The trial budget; the space's when left out.

    Raises:
        StudyError: No study can have that name, the budget is below 1 or above the size of a grid,
            or it is too small for what the space enqueues.
    """
    name = space.name if name is None else name
    _check_name(name)
    budget = space.trials if trials is None else trials
    if not 1 <= budget <= MOST_TRIALS:
        raise StudyError(f"found a budget of {budget} trials, allowed: 1 to {MOST_TRIALS}")
    try:
        space.check_budget(budget)
    except ValueError as error:
        raise StudyError(str(error)) from None
    if len(space.enqueue) > budget:
        raise StudyError(
            f"found {counted(len(space.enqueue), 'enqueued configuration')} in a budget of "
            f"{counted(budget, 'trial')}; "
            "raise the budget, or enqueue fewer"
        )
    definition = SearchDefinition(
        version=histsearch.__version__, key=new_key(), providers=providers(space), space=space
    )
    return PlannedSearch(name, definition, budget)


def create_search(
    storage: Storage,
    space: Space,
    *,
    name: str | None = None,
    trials: int | None = None,
    warm_start: Sequence[str] = (),
) -> Study:
    """Create the study of a search space, its enqueued configurations first in its queue.

    Args:
        storage: Where it is to be.
        space: The space.
        name: The study's name; the space's when left out.
        trials: The trial budget; the space's when left out.
        warm_start: Names of earlier studies that the freeze-thaw sampler learns from.

    Raises:
        StudyError: As `plan_search`, or a study of that name exists, or an earlier study doesn't
            exist or has nothing to teach this one.
        SpaceError: With a warm start, timm has no such model.
    """
    planned = plan_search(space, name=name, trials=trials)
    earlier = [to_json(_learn(storage, space, one)) for one in dict.fromkeys(warm_start)]
    return create_study(
        storage,
        planned.name,
        planned.definition,
        budget=planned.budget,
        queue=_queue(space),
        attributes={EARLIER_STUDIES: earlier} if earlier else {},
    )


def _learn(storage: Storage, space: Space, earlier: str) -> "EarlierStudy":
    """What an earlier study teaches a new one of this space."""
    if not space.sampler.warm_starts:
        able = " or ".join(f'"{name}"' for name, one in SAMPLERS.items() if one.warm_starts)
        raise StudyError(
            f'found the sampler "{space.sampler.name}" with a warm start, allowed: {able}; leave '
            "one of the two out"
        )
    study = find_study(storage, earlier)
    if study.definition.source is not None:
        raise StudyError(
            f'found "{earlier}", a retraining of one configuration; warm-start from a search such '
            f'as "{study.definition.source}"'
        )
    loss = study.definition.space.loss
    if loss != space.loss:
        raise StudyError(
            f'found "{earlier}", a study of the loss "{loss}"; warm-start from one of '
            f'"{space.loss}"'
        )
    theirs, ours = study.objective, space.protocol.metric
    if theirs.name != ours.name:
        raise StudyError(
            f'found "{earlier}", a study of {theirs.label}, whose curves can\'t be compared with '
            f"those of {ours.label}; warm-start from a study of {ours.label}, or leave it out"
        )
    search_space = study.definition.distributions()
    if not search_space.keys() & space.search.keys():
        raise StudyError(
            f'found "{earlier}", which searched {", ".join(search_space)}; warm-start from a study '
            f"that searched one of {', '.join(space.search)}"
        )
    try:
        learned = learn(
            earlier,
            study.optuna_study,
            search_space,
            study.definition.space.epochs,
            study.definition.folds,
        )
    except KeyError:  # it was deleted a moment ago
        raise StudyError(_no_such_study(storage, earlier)) from None
    if learned is None:
        raise StudyError(
            f'found no epoch to learn from in "{earlier}" (trials that failed teach nothing); wait '
            "for one, or leave it out"
        )
    learned = learned.with_usual(
        {name: value for name, value in usual_values(space).items() if name not in space.search}
    )
    every = space_of(optuna_distributions(space)).candidates((), (), np.random.default_rng(0))
    if np.allclose(learned.expects(every.configurations), 0.0, atol=1e-6):
        raise StudyError(
            f'found nothing in "{earlier}" that tells this space\'s configurations apart: the two '
            "share no value of a word, or one value alone; leave it out"
        )
    return learned


class NewStudy(NamedTuple):
    """A study that is to be created.

    Attributes:
        name: Its name.
        definition: What it will be.
        budget: Its trial budget.
        queue: Its first trials.
        attributes: What else is kept with it.
    """

    name: str
    definition: StudyDefinition
    budget: int
    queue: Sequence[QueuedTrial]
    attributes: Mapping[str, Any] = MappingProxyType({})


def create_study(
    storage: Storage,
    name: str,
    definition: StudyDefinition,
    *,
    budget: int,
    queue: list[QueuedTrial],
    attributes: Mapping[str, Any] = MappingProxyType({}),
) -> Study:
    """Create a study with its definition, budget, first trials and other attributes.

    All of it is one transaction, so that a process that dies halfway has created nothing.

    Raises:
        StudyError: A study of that name exists, or no study can have it.
    """
    (study,) = create_studies(storage, [NewStudy(name, definition, budget, queue, attributes)])
    return study


def create_searches(storage: Storage, planned: Sequence[PlannedSearch]) -> list[Study]:
    """Create the studies of some search spaces: all in one transaction, or none.

    Raises:
        StudyError: A study of one of their names exists.
    """
    new = [
        NewStudy(one.name, one.definition, one.budget, _queue(one.definition.space))
        for one in planned
    ]
    return create_studies(storage, new)


def _queue(space: Space) -> list[QueuedTrial]:
    return [QueuedTrial(configuration) for configuration in space.enqueue]


def create_studies(storage: Storage, several: Sequence[NewStudy]) -> list[Study]:
    """Create some studies: all in one transaction, or none.

    Raises:
        StudyError: A study of one of their names exists, or no study can have it.
    """
    name = ""
    try:
        with storage.begin() as connection:
            within = storage.optuna_within(connection)
            for one in several:
                name = one.name
                _check_name(name)
                _create_within(within, one)
    except DuplicatedStudyError:
        raise StudyError(_name_taken(storage, name)) from None
    return [find_study(storage, one.name) for one in several]


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise StudyError(f"found the study name {name!r}, allowed: {NAME_ALLOWED}")


def _create_within(within: BaseStorage, new: NewStudy) -> None:
    definition = new.definition
    study = optuna.create_study(storage=within, study_name=new.name, direction="maximize")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([definition.space.protocol.metric.label])
    attributes = {
        PAUSED: False,
        BUDGET: new.budget,
        SELECTION: definition.selection,
        DEFINITION: definition.model_dump(mode="json"),
        **new.attributes,
    }
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    for trial in new.queue:
        study.enqueue_trial(dict(trial.params), user_attrs=dict(trial.user_attrs))


def is_taken(storage: Storage, name: str) -> bool:
    """Whether a study has that name, of histsearch or another of Optuna's."""
    try:
        storage.optuna.get_study_id_from_name(name)
    except KeyError:
        return False
    return True


def check_name(storage: Storage, name: str) -> None:
    """Check that a new study can have a name.

    Raises:
        StudyError: No study can, or one has it already.
    """
    _check_name(name)
    if is_taken(storage, name):
        raise StudyError(_name_taken(storage, name))


def _name_taken(storage: Storage, name: str) -> str:
    with suppress(KeyError):  # it was deleted a moment ago
        half = half_created(storage, optuna.load_study(study_name=name, storage=storage.keeping))
        if half is not None:
            return str(half)
    return (
        f'found a study named "{name}" already; choose another with --name, or delete it with '
        f"histsearch study delete {name}"
    )


def list_studies(storage: Storage) -> list[Study]:
    """Every study of histsearch in the storage, by name.

    Left out are other Optuna studies, those that are half created, and `unreadable_studies`.
    """
    studies = []
    for name in _names(storage):
        # So is one that was deleted a moment ago, or that another version created.
        with suppress(StudyError):
            studies.append(find_study(storage, name))
    return studies


def unreadable_studies(storage: Storage) -> dict[str, str]:
    """The studies by name whose definition this version can't read; of each, what to do about it.

    Another version created them, or somebody changed them in the database.
    """
    found = {}
    for frozen in storage.optuna.get_all_studies():
        definition = frozen.user_attrs.get(DEFINITION)
        if DEFINITION in frozen.user_attrs and not _is_readable(definition):
            found[frozen.study_name] = _unreadable(frozen.study_name, definition)
    return dict(sorted(found.items()))


def _is_readable(definition: object) -> bool:
    try:
        read_definition(definition)
    except ValidationError:
        return False
    return True


def _names(storage: Storage) -> list[str]:
    return sorted(
        frozen.study_name
        for frozen in storage.optuna.get_all_studies()
        if DEFINITION in frozen.user_attrs
    )


def find_study(storage: Storage, name: str) -> Study:
    """Load a study by name.

    Raises:
        StudyError: There is none of that name, histsearch didn't create it, or created half of it.
    """
    try:
        with storage.keeping.at_one_moment():
            optuna_study = optuna.load_study(study_name=name, storage=storage.keeping)
            definition = optuna_study.user_attrs.get(DEFINITION)
            half = half_created(storage, optuna_study)
    except KeyError:
        raise StudyError(_no_such_study(storage, name)) from None
    if half is not None:
        raise StudyError(str(half))
    if definition is None:
        raise StudyError(f'found "{name}", an Optuna study that histsearch didn\'t create')
    try:
        return Study(storage, optuna_study, read_definition(definition))
    except ValidationError:
        raise StudyError(_unreadable(name, definition)) from None


def _unreadable(name: str, definition: object) -> str:
    version = definition.get("version") if isinstance(definition, dict) else None
    if isinstance(version, str) and version != histsearch.__version__:
        return (
            f'found "{name}", created by histsearch {version}, which this one, '
            f"{histsearch.__version__}, can't read; use that version for it"
        )
    return (
        f'found "{name}", whose definition histsearch {histsearch.__version__} can\'t read, as it '
        "allows no such values or the definition was changed; delete it with histsearch study "
        f"delete {name}"
    )


def _no_such_study(storage: Storage, name: str) -> str:
    near = get_close_matches(name, _names(storage), n=1)
    if near:
        return f'found no study "{name}"; did you mean "{near[0]}"?'
    return f'found no study "{name}"; histsearch study list shows those there are'


def delete_study(storage: Storage, name: str) -> None:
    """Delete a study with all its trials; also one of another version, or half created.

    Raises:
        StudyError: There is none of that name, or retrainings of it are left.
    """
    try:
        optuna_study = optuna.load_study(study_name=name, storage=storage.keeping)
        half = half_created(storage, optuna_study)
        foreign = half is None and DEFINITION not in optuna_study.user_attrs
    except KeyError:
        raise StudyError(_no_such_study(storage, name)) from None
    if foreign and optuna_study.trials:
        raise StudyError(f'found "{name}", an Optuna study that histsearch didn\'t create')
    left = [study.name for study in list_studies(storage) if study.definition.source == name]
    if left:
        raise StudyError(
            f'found retrainings of "{name}", whose reports need it: {", ".join(left)}; delete them '
            "first"
        )
    study_id = optuna_study._study_id
    with storage.lock(study_id) as connection:
        # A worker that is writing about a trial ends first; from then on it can't any more.
        connection.execute(
            select(attempts.c.id)
            .join(optuna_trials, optuna_trials.c.trial_id == attempts.c.trial_id)
            .where(optuna_trials.c.study_id == study_id)
            .with_for_update(of=attempts)
        )
        storage.optuna_within(connection).delete_study(study_id)
