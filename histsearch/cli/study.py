"""``histsearch study``: create studies and look after them."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histsearch.cli.denied import warn_of_staying, warn_of_unlisted
from histsearch.cli.device import DeviceOption, GpuOption
from histsearch.cli.dry_run import run_dry
from histsearch.cli.images_here import tell_images
from histsearch.cli.options import (
    CheckpointsOption,
    DataOption,
    StorageOption,
    StudyArgument,
    assignments,
    open_to_change,
    open_to_create,
    open_to_read,
    workers_hint,
)
from histsearch.cli.output import echo, echo_data, print_table, table
from histsearch.exceptions import CheckpointError, DeviceError, StudyError
from histsearch.folders import checkpoint_location, data_folder
from histsearch.wording import configuration_text, counted, list_text

if TYPE_CHECKING:
    from histsearch.database.storage import Storage
    from histsearch.reports.fold_comparison import FoldComparison
    from histsearch.reports.report import WinningTrial
    from histsearch.reports.what_mattered import WhatMattered
    from histsearch.studies.study import Study
    from histsearch.studies.trial_sums import TrialSums

_COLUMNS = (
    *("study", "kind", "data set", "backbone", "trials", "running", "paused", "winner", "state"),
)
_FEWEST_FOR_SHARES = 3  # configurations that ran, as the model has it
_TRIAL_WORDS = {"WAITING": "queued", "FAIL": "failed"}

app = typer.Typer(help="Create studies and look after them.", no_args_is_help=True)


class ExportFormat(StrEnum):
    """How ``study export`` writes trials."""

    csv = "csv"
    json = "json"


@app.command()
def create(
    space: Annotated[
        str, typer.Argument(help="A space that comes with histsearch, or a TOML file.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the study [default: the space's]")
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", help="Trial budget [default: the space's]")
    ] = None,
    warm_start: Annotated[
        list[str] | None,
        typer.Option(
            "--warm-start",
            metavar="STUDY",
            help="An earlier study to learn from: of another data set or backbone, or of a space "
            "alike. May be given several times.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Create nothing: time some batches with --gpu or --device cpu, and say how long "
            "an epoch, a full run and the budget will take, and how much memory.",
        ),
    ] = False,
    gpu: GpuOption = None,
    device: DeviceOption = None,
    data: DataOption = None,
    storage: StorageOption = None,
) -> None:
    """Create a study from a search space."""
    if dry_run:
        if warm_start:
            raise StudyError(
                "found --warm-start with --dry-run, which asks no database for earlier studies; "
                "leave one of the two out"
            )
        run_dry(space, name, trials, gpu=gpu, device=device, data=data)
        return
    if gpu is not None or device is not None:
        raise DeviceError(
            "found --gpu or --device without --dry-run, allowed: with it; a study runs wherever "
            "its workers do"
        )

    from histsearch.space.reading import load_space
    from histsearch.studies.catalog import create_search
    from histsearch.studies.definition import TEST_SELECTION

    loaded = load_space(space)
    study = create_search(
        open_to_create(storage), loaded, name=name, trials=trials, warm_start=warm_start or ()
    )
    echo(
        f'created study "{study.name}": {counted(study.budget, "trial")} of '
        f"{counted(loaded.epochs, 'epoch')} over "
        f"{', '.join(loaded.search)}"
    )
    if study.warm_start:
        echo(f"it has learned from {', '.join(study.warm_start)}")
    if study.definition.touches_test_classes:
        echo(f"warning: this study selects on the {TEST_SELECTION}", err=True)
    tell_images(study, data_folder(data))
    echo(workers_hint(study.name))


@app.command("list")
def list_(storage: StorageOption = None) -> None:
    """List all studies."""
    from histsearch.studies.catalog import list_studies, unreadable_studies
    from histsearch.studies.half_created import half_created_studies
    from histsearch.studies.trial_sums import sum_trials

    opened = open_to_read(storage)
    for left_out in (*half_created_studies(opened), *unreadable_studies(opened).values()):
        echo(str(left_out), err=True)
    studies = list_studies(opened)
    if not studies:
        echo("no studies yet; create one with: histsearch study create demo")
        return
    sums = sum_trials(opened, [study.id for study in studies])
    print_table(table(_COLUMNS, (_row(study, sums[study.id]) for study in studies)))


def _row(study: "Study", sums: "TrialSums") -> tuple[str, ...]:
    from optuna.trial import TrialState

    from histsearch.reports.status import study_state
    from histsearch.reports.winner import winning_trial

    winner = winning_trial(study)
    definition = study.definition
    return (
        study.name,
        definition.kind,
        definition.space.dataset,
        definition.space.backbone,
        f"{sums.finished}/{study.budget}",
        str(sums.states.get(TrialState.RUNNING, 0)),
        str(sums.paused),
        "" if winner is None else f"{winner.objective} {winner.overall:.1%}",
        study_state(study),
    )


@app.command()
def show(
    name: StudyArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    storage: StorageOption = None,
) -> None:
    """Show one study: its space, its progress, its best trial or its models."""
    from histsearch.reports.chance import chance_sentence
    from histsearch.reports.epochs_done import EpochsDone
    from histsearch.reports.fold_comparison import compare_folds
    from histsearch.reports.study_summary import study_summary
    from histsearch.reports.time_left import TimeLeft
    from histsearch.reports.winner import judge
    from histsearch.studies.catalog import find_study
    from histsearch.studies.images import known_census
    from histsearch.studies.trial_models import retrained_models

    study = find_study(open_to_read(storage), name)
    judgement, folds = judge(study), compare_folds(study)
    summary = study_summary(study, judgement, folds)
    if as_json:
        echo_data(json.dumps(summary, indent=2))
        return
    space = study.definition.space
    earlier = ", or earlier, when decided" if summary["may_end_earlier"] else ""
    counts = ", ".join(
        f"{count} {_TRIAL_WORDS.get(state, state.lower())}"
        for state, count in summary["trials"].items()
    )
    lines = {
        "study": f"{study.name} ({summary['kind']}, {summary['state']})",
        "space": f"{space.name}: {space.dataset} on {space.backbone}, loss {space.loss}, "
        f"{counted(space.epochs, 'epoch')}",
        "objective": summary["objective"],
        "selection": summary["selection"],
        "searched": "; ".join(
            f"{key} in {_parameter_text(value)}" for key, value in space.search.items()
        ),
        "fixed": configuration_text(space.fixed) or "defaults",
        **({} if study.definition.source else {"ends by": _limits_line(study)}),
        "trials": f"{summary['finished']} of {study.budget} finished ({counts or 'none yet'})",
        "epochs": str(EpochsDone(**summary["epochs"])),
        **({"time left": f"{TimeLeft(**left)}{earlier}"} if (left := summary["time_left"]) else {}),
        **({"images": str(census)} if (census := known_census(study)) else {}),
        **({"learned": f"from {', '.join(study.warm_start)}"} if study.warm_start else {}),
        **({"left by": hosts} if (hosts := _left_line(study)) else {}),
        **({"ended": summary["ended"]} if summary["ended"] else {}),
        **({"in doubt": chance} if (chance := chance_sentence(study)) else {}),
        **({} if folds is None else _fold_lines(folds)),
        **({"leader": str(judgement.leader)} if judgement.leader else {}),
        "best": "see histsearch report"
        if study.definition.source
        else _best_line(judgement.winner),
        **_highest_line(summary),
        **({"judged": judgement.judged} if judgement.judged else {}),
        **_mattered_lines(study, judgement.mattered),
    }
    for label, text in lines.items():
        echo(f"{label + ':':<11}{text}")
    for model in retrained_models(study):
        echo(f"{'model:':<11}{model}")
    for warning in summary["warnings"]:
        echo(f"{'warning:':<11}{warning}")


def _fold_lines(found: "FoldComparison") -> dict[str, str]:
    """How much the folds of a search differ, and how well they agree."""
    spread, agreement = "not enough yet: trials have run on one fold at most", "not enough yet: "
    if found.effects is not None:
        each = ", ".join(f"{effect:+.1f}" for effect in found.effects)
        spread = f"standard deviation {found.spread:.1f} points ({each})"
    if found.agreement is None:
        agreement += "three configurations must have run on the same two folds"
    else:
        agreement = (
            f"Kendall's tau {found.agreement:.2f} between folds, over "
            f"{counted(found.ranked, 'configuration')}"
        )
    return {"folds": f"{found.folds}, {spread}", "agreement": agreement}


def _highest_line(summary: Mapping[str, Any]) -> dict[str, str]:
    """The trial with the highest single value, where its configuration isn't the winner's."""
    best, highest = summary["best"], summary["highest"]
    if not best or not highest or highest["params"] == best["params"]:
        return {}
    value = f"a single {summary['objective']} of {highest['value']:.1%}"
    parameters = configuration_text(highest["params"])
    return {"highest": f"trial {highest['number']}, {value}: {parameters}"}


def _mattered_lines(study: "Study", found: "WhatMattered") -> dict[str, str]:
    """Which parameters of a search mattered, and at which edges its winner lies."""
    from histsearch.reports.what_mattered import shares_text
    from histsearch.studies.standing import is_asked

    edges = {"edge": "; ".join(found.edges)} if found.edges else {}
    if not study.definition.selects or len(study.definition.space.search) < 2:
        return edges
    if found.parameters:
        pairs = shares_text(found.pairs) or "no pair explains as much as 5%"
        return {"mattered": shares_text(found.parameters), "interact": pairs, **edges}
    unknown = 'not known: the model of sampler = "freeze-thaw" says it'
    if is_asked(study):
        unknown = _why_not_known(study)
    return {"mattered": unknown, **edges}


def _why_not_known(study: "Study") -> str:
    """Why the model of a search doesn't say what mattered."""
    from histsearch.studies.trial_briefs import trial_progress

    if not study.is_finished:
        return "not known yet: three configurations must have run"
    ran = {repr(sorted(one.params.items())) for one in trial_progress(study) if one.epochs}
    if len(ran) >= _FEWEST_FOR_SHARES:
        return "not known: no worker stored it"
    return f"not known: only {counted(len(ran), 'configuration')} ran"


def _left_line(study: "Study") -> str:
    return " ".join(f"workers on {host}: {reason}" for host, reason in study.left_by.items())


def _parameter_text(parameter: object) -> str:
    if isinstance(parameter, tuple):
        return "{" + list_text(parameter) + "}"
    return f"[{parameter}]"


@app.command("trials")
def trials_(
    name: StudyArgument,
    top: Annotated[
        int | None,
        typer.Option("--top", min=1, metavar="N", help="Only the N with the best scores, in turn."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    storage: StorageOption = None,
) -> None:
    """Show each trial: state, epochs, best score, learning curve, parameters and worker.

    All curves are drawn between the lowest and the highest score that is shown.
    """
    from dataclasses import asdict

    from histsearch.cli.trial_table import print_trials
    from histsearch.studies.catalog import find_study
    from histsearch.studies.trial_briefs import best_first, trial_progress

    study = find_study(open_to_read(storage), name)
    trials = trial_progress(study)
    if top is not None:
        trials = best_first(trials)[:top]
    if as_json:
        echo_data(json.dumps([asdict(trial) for trial in trials], indent=2))
    elif trials:
        print_trials(study, trials)
    else:
        echo("no trials yet" if top is None else "no trial has a score yet")


@app.command()
def best(name: StudyArgument, storage: StorageOption = None) -> None:
    """Print the best configuration and a completed trial of it, and the leader.

    With the freeze-thaw sampler that is the configuration with the highest expected score, not that
    of the luckiest trial. The leader, that with the highest at this moment, is provisional until a
    trial of it is complete.
    """
    from histsearch.reports.winner import judge
    from histsearch.studies.catalog import find_study

    study = find_study(open_to_read(storage), name)
    if not study.definition.selects:
        raise StudyError(
            f'found "{name}", a retraining, whose result is a mean over seeds: histsearch report '
            f"{name} --out DIR"
        )
    winner, leader, judged, _ = judge(study)
    echo(_best_line(winner))
    if leader is not None:
        echo(f"leader: {leader}")
    if judged is not None:
        echo(f"judged {judged}")


def _best_line(best: "WinningTrial | None") -> str:
    if best is None:
        return "no completed trial yet"
    return f"trial {best.number}, {best}: {configuration_text(best.parameters)}"


@app.command()
def enqueue(
    name: StudyArgument,
    configuration: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Values of searched parameters.")
    ],
    storage: StorageOption = None,
) -> None:
    """Queue a configuration; parameters left out are chosen by the sampler."""
    from histsearch.studies.catalog import find_study

    values = assignments(configuration)
    study = find_study(open_to_change(storage), name)
    budget = study.enqueue(values)
    echo(f'queued in "{name}", whose budget is {counted(budget, "trial")}')
    _hint_at_workers(study)


@app.command("set")
def set_(
    name: StudyArgument,
    limits: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="trials=100, gpu_hours=48 or false, decided=false or 'decided={delta = 0.3}'.",
        ),
    ],
    storage: StorageOption = None,
) -> None:
    """Change when a search ends; one that has ended goes on if the new limits allow."""
    from histsearch.studies.catalog import find_study
    from histsearch.studies.limit_changes import change_limits

    study = find_study(open_to_change(storage), name)
    change_limits(study, assignments(limits))
    echo(f'"{name}" ends by: {_limits_line(study)}')
    _hint_at_workers(study)


def _limits_line(study: "Study") -> str:
    gpu_hours, decided = study.limits
    rule = (
        "false" if decided is None else f"{{delta = {decided.delta}, epsilon = {decided.epsilon}}}"
    )
    hours = "false" if gpu_hours is None else f"{gpu_hours:g}"
    return f"trials = {study.budget}, gpu_hours = {hours}, decided = {rule}"


@app.command()
def pause(name: StudyArgument, storage: StorageOption = None) -> None:
    """Start no more trials of a study; those running finish, or are paused after an epoch."""
    from histsearch.studies.catalog import find_study

    find_study(open_to_change(storage), name).pause()
    echo(f'paused "{name}"; go on with: histsearch study resume {name}')


@app.command()
def resume(name: StudyArgument, storage: StorageOption = None) -> None:
    """Start trials of a paused study again."""
    from histsearch.studies.catalog import find_study

    study = find_study(open_to_change(storage), name)
    study.resume()
    echo(f'resumed "{name}"')
    _hint_at_workers(study)


def _hint_at_workers(study: "Study") -> None:
    """Say how to start a worker where there is none for what a study has left to do."""
    from histsearch.reports.status import is_served, study_state

    if study_state(study) == "open" and not is_served(study):
        echo(f"no worker serves it at the moment; {workers_hint(study.name)}")


@app.command("export")
def export_trials(
    name: StudyArgument,
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="How to write the trials.")
    ] = ExportFormat.csv,
    storage: StorageOption = None,
) -> None:
    """Write all trials to standard output, with curves, attributes and times in UTC."""
    from histsearch.studies.catalog import find_study
    from histsearch.studies.trial_rows import to_csv, to_json

    writers = {ExportFormat.csv: to_csv, ExportFormat.json: to_json}
    echo_data(writers[format_](find_study(open_to_read(storage), name)))


@app.command()
def delete(
    name: StudyArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    checkpoints: CheckpointsOption = None,
    storage: StorageOption = None,
) -> None:
    """Delete a study, all its trials, their saved states and embeddings; their models stay.

    Files are removed where --checkpoints says, those of running trials by their workers as soon as
    they notice, and elsewhere by histsearch data states --clean.
    """
    from histsearch.studies.catalog import delete_study

    opened = open_to_change(storage)
    if not yes:
        typer.confirm(f'Delete study "{name}" and all its trials?', abort=True)
    delete_study(opened, name)
    echo(f'deleted "{name}"')
    try:
        _remove_files(opened, name, checkpoint_location(checkpoints))
    except CheckpointError as error:
        echo(f"warning: its files may be left, see histsearch data states: {error}", err=True)


def _remove_files(storage: "Storage", name: str, location: str) -> None:
    from histsearch.studies.saved_states import Owner, remove_left_over, take_stock
    from histsearch.training.checkpoint_store import open_checkpoint_store

    store = open_checkpoint_store(location)
    stocks = take_stock(storage, store, name, warn_of_unlisted)
    deleted = [stock for stock in stocks if stock.owner == Owner.DELETED]
    warn_of_staying(remove_left_over(store, deleted))
    if any(stock.models for stock in deleted):
        echo(f"its models stay in {location}")
