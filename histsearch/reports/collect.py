"""Gather a search's results into a report."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from histsearch.database.storage import Storage
from histsearch.reports.commands import repeating_commands
from histsearch.reports.comparisons import compare
from histsearch.reports.configuration_costs import (
    ConfigurationCost,
    configuration_costs,
    trials_cost,
)
from histsearch.reports.cost import Cost, cost
from histsearch.reports.full_configuration import FullConfiguration, full_configuration
from histsearch.reports.images import study_warnings
from histsearch.reports.published_results import published_rows, published_source
from histsearch.reports.report import Report, Retrained, WinningTrial
from histsearch.reports.retrained_pairs import retrained_pairs
from histsearch.reports.seed_run import seed_run
from histsearch.reports.statistics import Estimate, fraction_estimate
from histsearch.reports.status import study_state
from histsearch.reports.winner import judge
from histsearch.space.writing import space_toml
from histsearch.studies import trial_record
from histsearch.studies.attempt_slots import most_slots
from histsearch.studies.baselines import baselines_like
from histsearch.studies.catalog import find_study
from histsearch.studies.chosen_configurations import Origin
from histsearch.studies.definition import SearchDefinition
from histsearch.studies.half_created import half_created_studies
from histsearch.studies.images import known_census
from histsearch.studies.retraining_seeds import retrainings_of
from histsearch.studies.retraining_warnings import retraining_warnings
from histsearch.studies.study import Study
from histsearch.studies.trial_models import retrained_models
from histsearch.studies.trial_sums import sums_of


def find_search(storage: Storage, name: str) -> Study:
    """A search by its name, or by that of one of its retrainings.

    Raises:
        StudyError: There is no such study.
    """
    study = find_study(storage, name)
    if study.definition.source is not None:
        study = find_study(storage, study.definition.source)
    return study


def build_report(storage: Storage, name: str) -> Report:
    """Gather what a search and its retrainings found, however far they are.

    Args:
        storage: Where they are.
        name: A search, or one of its retrainings.

    Raises:
        StudyError: There is no such study.
    """
    study = find_search(storage, name)
    definition = study.definition
    assert isinstance(definition, SearchDefinition)
    judgement = judge(study)
    retrainings = retrainings_of(study)
    several = len(retrainings) > 1
    retrained = [one for retraining in retrainings for one in _retrained(retraining, several)]
    space, best, trials = definition.space, judgement.winner, study.trials()
    begun = [trial for trial in trials if trial_record.SECONDS in trial.user_attrs]
    return Report(
        study=study.name,
        space=space.name,
        dataset=space.dataset,
        backbone=space.backbone,
        loss=str(space.loss),
        objective=study.objective.label,
        selection=study.definition.selection,
        on_test_classes=study.definition.touches_test_classes,
        trials=sums_of(study).by_name(),
        best=best,
        retrained=retrained,
        comparisons=compare(retrained_pairs(study, retrained)),
        baselines_of_winner=_baselines_of_winner(study, best, retrained),
        leader=judgement.leader,
        published=published_rows(space.dataset, space.backbone),
        published_source=published_source(),
        search_cost=cost(trials, space.epochs),
        retraining_cost=_retraining_cost(retrainings),
        unfinished_retrainings=[other.name for other in retrainings if not other.is_finished],
        half_created_retrainings=[
            str(half) for half in half_created_studies(study.storage) if half.source == study.name
        ],
        failed_runs=[
            failure
            for retraining in retrainings
            for failure in _failures(retraining, TrialState.FAIL, TrialState.PRUNED)
        ],
        retraining_warnings=[
            warning
            for retraining in retrainings
            for warning in retraining_warnings(study, retraining)
        ],
        provenance=_provenance([study, *retrainings]),
        models=[model for retraining in retrainings for model in retrained_models(retraining)],
        images=known_census(study),
        slots=most_slots([study, *retrainings]),
        warnings=study_warnings(study),
        state=study_state(study),
        ended=study.ended,
        budget=study.budget,
        failures=_failures(study, TrialState.FAIL),
        mattered=judgement.mattered,
        configurations=_full_configurations(study, best, retrained),
        costs=configuration_costs(begun, space.epochs),
        search_total=trials_cost(begun, space.epochs),
        retraining_costs=_retraining_costs(retrainings),
        weights=space.weights,
        space_toml=space_toml(space),
        commands=repeating_commands(study, retrainings),
    )


def _failures(study: Study, *states: TrialState) -> list[str]:
    """Each trial that ended in one of some states, with its reason."""
    return [
        f"{study.name} #{trial.number}: "
        f"{trial.user_attrs.get(trial_record.REASON, trial.state.name.lower())}"
        for trial in study.trials(*states)
    ]


def _baselines_of_winner(
    study: Study, best: WinningTrial | None, retrained: Sequence[Retrained]
) -> list[str]:
    """Names of the baselines that a search's winner is, in each length it was retrained with."""
    if best is None:
        return []
    lengths: set[int | None] = {one.epochs for one in retrained if one.is_of(best)}
    first, *others = [baselines_like(study, best.parameters, n) for n in lengths or {None}]
    return [name for name in first if all(name in other for other in others)]


def _full_configurations(
    study: Study, best: WinningTrial | None, retrained: Sequence[Retrained]
) -> list[FullConfiguration]:
    """The winner's configuration and those retrained, each once."""
    space = study.definition.space
    chosen = [(one.label, one.parameters, one.epochs) for one in retrained]
    if best is not None and not any(one.is_of(best) for one in retrained):
        chosen.insert(0, (f"winner #{best.number}", best.parameters, space.epochs))
    found = []
    for label, parameters, epochs in chosen:
        # A trial that plain Optuna told may have any values.
        with suppress(ValidationError):
            found.append(full_configuration(space, label, parameters, epochs))
    return found


def _retraining_costs(retrainings: Sequence[Study]) -> dict[str, ConfigurationCost]:
    """What the runs of each configuration cost, those without a figure included."""
    several = len(retrainings) > 1
    groups: dict[str, list[FrozenTrial]] = {}
    for retraining in retrainings:
        for trial in retraining.trials():
            if trial_record.ROLE in trial.user_attrs:  # not added from outside
                label = _label(retraining, Origin.of(trial), several)
                groups.setdefault(label, []).append(trial)
    return {label: trials_cost(trials, 0) for label, trials in groups.items()}


def _retrained(retraining: Study, several: bool) -> list[Retrained]:
    groups: dict[Origin, list[FrozenTrial]] = {}
    for trial in retraining.trials(TrialState.COMPLETE):
        if trial_record.ROLE in trial.user_attrs:  # not added from outside
            groups.setdefault(Origin.of(trial), []).append(trial)
    to_come = Counter(
        Origin.of(trial)
        for trial in retraining.trials(TrialState.WAITING, TrialState.RUNNING)
        if trial_record.ROLE in trial.user_attrs
    )
    return [
        _configuration(retraining, origin, trials, to_come[origin], several)
        for origin, trials in groups.items()
    ]


def _label(retraining: Study, origin: Origin, several: bool) -> str:
    return origin.label + (f" of {retraining.name}" if several else "")


def _configuration(
    retraining: Study, origin: Origin, trials: Sequence[FrozenTrial], to_come: int, several: bool
) -> Retrained:
    scores = [trial.value or 0.0 for trial in trials]
    recalls = [trial.user_attrs[trial_record.RECALL] for trial in trials]
    first = trials[0]
    return Retrained(
        study=retraining.name,
        label=_label(retraining, origin, several),
        role=origin.role,
        source_trial=origin.source_trial,
        baselines=origin.baselines,
        parameters={
            name: value for name, value in first.params.items() if name != trial_record.SEED
        },
        epochs=first.user_attrs[trial_record.EPOCHS],
        objective=retraining.objective.label,
        score=fraction_estimate(scores),
        scores=scores,
        seeds=[trial.params[trial_record.SEED] for trial in trials],
        recall={int(k): fraction_estimate([recall[k] for recall in recalls]) for k in recalls[0]},
        others=_other_figures(trials),
        runs=[seed_run(trial, retraining.objective) for trial in trials],
        to_come=to_come,
    )


def _other_figures(trials: Sequence[FrozenTrial]) -> dict[str, Estimate]:
    """The figures besides R@K that all runs recorded, by their labels."""
    recorded = [trial.user_attrs.get(trial_record.FIGURES, {}) for trial in trials]
    return {
        label: fraction_estimate([figures[label] for figures in recorded])
        for label in recorded[0]
        if all(label in figures for figures in recorded)
    }


def _retraining_cost(retrainings: Sequence[Study]) -> Cost | None:
    trials = [trial for retraining in retrainings for trial in retraining.trials()]
    return cost(trials, 0) if trials else None


def _provenance(studies: Sequence[Study]) -> dict[str, Any]:
    """What all finished trials say of devices and software, each distinct answer once."""
    trials = [trial for study in studies for trial in study.trials() if trial.state.is_finished()]
    keys = (
        *(trial_record.WEIGHTS, trial_record.DEVICE, trial_record.VERSIONS, trial_record.COMMIT),
    )
    return {
        key: list({repr(t.user_attrs.get(key)): t.user_attrs.get(key) for t in trials}.values())
        for key in keys
    }
