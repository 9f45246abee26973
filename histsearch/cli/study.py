"""``histsearch study``: create studies and look after them."""

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histsearch.cli.options import (
    StorageOption,
    StudyArgument,
    assignments,
    open_storage,
    print_table,
    workers_hint,
)
from histsearch.exceptions import StudyError

if TYPE_CHECKING:
    from histsearch.reports.report import BestTrial
    from histsearch.studies.study import Study

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
    storage: StorageOption = None,
) -> None:
    """Create a study from a search space."""
    from histsearch.search.space import load_space
    from histsearch.studies.catalog import create_search
    from histsearch.studies.study import TEST_SELECTION

    loaded = load_space(space)
    study = create_search(
        open_storage(storage), loaded, name=name, trials=trials, warm_start=warm_start or ()
    )
    typer.echo(
        f'created study "{study.name}": {study.budget} trials of {loaded.epochs} epochs over '
        f"{', '.join(loaded.search)}"
    )
    if study.warm_start:
        typer.echo(f"it has learned from {', '.join(study.warm_start)}")
    if study.definition.touches_test_classes:
        typer.echo(f"warning: this study selects on the {TEST_SELECTION}", err=True)
    typer.echo(workers_hint(study.name))


@app.command("list")
def list_(storage: StorageOption = None) -> None:
    """List all studies."""
    from rich.table import Table

    from histsearch.studies.catalog import list_studies

    studies = list_studies(open_storage(storage))
    if not studies:
        typer.echo("no studies yet; create one with: histsearch study create demo")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in (
        "study",
        "kind",
        "data set",
        "backbone",
        "trials",
        "running",
        "winner's R@1",
        "state",
    ):
        table.add_column(column, no_wrap=True)
    for study in studies:
        winner = _winner(study)
        summary = _summary(study, winner)
        table.add_row(
            study.name,
            summary["kind"],
            summary["dataset"],
            summary["backbone"],
            f"{summary['finished']}/{summary['budget']}",
            str(summary["trials"].get("RUNNING", 0)),
            "" if winner is None else f"{winner.recall_at_1:.1%}",
            summary["state"],
        )
    print_table(table)


@app.command()
def show(
    name: StudyArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    storage: StorageOption = None,
) -> None:
    """Show one study: its space, its progress and its best trial."""
    from histsearch.studies.catalog import find_study

    study = find_study(open_storage(storage), name)
    winner = _winner(study)
    summary = _summary(study, winner)
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
        return
    space = study.definition.space
    counts = ", ".join(f"{count} {state.lower()}" for state, count in summary["trials"].items())
    lines = {
        "study": f"{study.name} ({summary['kind']}, {summary['state']})",
        "space": f"{space.name}: {space.dataset} on {space.backbone}, {space.epochs} epochs",
        "selection": summary["selection"],
        "searched": "; ".join(f"{key} in {_domain(value)}" for key, value in space.search.items()),
        "fixed": ", ".join(f"{key} = {value}" for key, value in space.fixed.items()) or "defaults",
        **({} if study.definition.source else {"ends by": _limits_line(study)}),
        "trials": f"{summary['finished']} of {study.budget} finished ({counts or 'none yet'})",
        **({"learned": f"from {', '.join(study.warm_start)}"} if study.warm_start else {}),
        **({"left by": left} if (left := _left_line(study)) else {}),
        **({"ended": summary["ended"]} if summary["ended"] else {}),
        **({"in doubt": doubt} if (doubt := _doubt_line(study)) else {}),
        "best": "see histsearch report" if study.definition.source else _best_line(winner),
    }
    for label, text in lines.items():
        typer.echo(f"{label + ':':<11}{text}")


def _left_line(study: "Study") -> str:
    return " ".join(f"workers on {host}: {reason}" for host, reason in study.left_by.items())


def _doubt_line(study: "Study") -> str | None:
    """How far the search is from being decided; None where that isn't asked, or not any more."""
    decided, doubt = study.limits.decided, study.doubt
    if decided is None or doubt is None or study.ended or study.is_finished:
        return None
    return (
        f"another is better than the winner by more than {decided.delta:g} points with a "
        f"probability of {doubt:.0%} (100% until three configurations and every value have run); "
        f"the search ends below {100 * decided.epsilon:g}%"
    )


def _domain(domain: object) -> str:
    if isinstance(domain, tuple):
        return "{" + ", ".join(str(value) for value in domain) + "}"
    return f"[{domain}]"


@app.command()
def best(name: StudyArgument, storage: StorageOption = None) -> None:
    """Print the best configuration and a completed trial of it.

    With the hist sampler that is the one its model expects most of, not the one whose trial was
    the luckiest.
    """
    from histsearch.studies.catalog import find_study

    study = find_study(open_storage(storage), name)
    if study.definition.kind == "retrain":
        raise StudyError(
            f'found "{name}", a retraining, whose result is a mean over seeds: histsearch report '
            f"{name} --out DIR"
        )
    typer.echo(_best_line(_winner(study)))


def _best_line(best: "BestTrial | None") -> str:
    if best is None:
        return "no completed trial yet"
    configuration = ", ".join(f"{name} = {value}" for name, value in best.parameters.items())
    return f"trial {best.number}, {best}: {configuration}"


def _winner(study: "Study") -> "BestTrial | None":
    """The winner of a search; the luckiest seed of a retraining is no result."""
    from histsearch.reports.collect import best_trial

    return best_trial(study) if study.definition.kind == "search" else None


def _summary(study: "Study", best: "BestTrial | None") -> dict[str, Any]:
    from optuna.trial import TrialState

    from histsearch.reports.status import study_state
    from histsearch.studies.study import selection

    counts = {state.name: study.count(state) for state in TrialState}
    return {
        "study": study.name,
        "kind": study.definition.kind,
        "source": study.definition.source,
        "dataset": study.definition.space.dataset,
        "backbone": study.definition.space.backbone,
        "selection": selection(study.definition),
        "state": study_state(study),
        "warm_start": study.warm_start,
        "ended": study.ended,
        "doubt": study.doubt,
        "limits": study.limits.to_json(),
        "left_by": study.left_by,
        "budget": study.budget,
        "finished": sum(counts[state.name] for state in TrialState if state.is_finished()),
        "trials": {state: count for state, count in counts.items() if count},
        "best": best
        and {
            "number": best.number,
            "value": best.recall_at_1,
            "epoch": best.epoch,
            "params": best.parameters,
            "trials": best.trials,
            "mean": best.mean_recall_at_1,
        },
        "space": study.definition.space.model_dump(mode="json"),
    }


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
    study = find_study(open_storage(storage), name)
    budget = study.enqueue(values)
    typer.echo(f'queued in "{name}", whose budget is {budget} trials')
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
    from histsearch.studies.limits import change_limits

    study = find_study(open_storage(storage), name)
    change_limits(study, assignments(limits))
    typer.echo(f'"{name}" ends by: {_limits_line(study)}')
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

    find_study(open_storage(storage), name).pause()
    typer.echo(f'paused "{name}"; go on with: histsearch study resume {name}')


@app.command()
def resume(name: StudyArgument, storage: StorageOption = None) -> None:
    """Start trials of a paused study again."""
    from histsearch.studies.catalog import find_study

    study = find_study(open_storage(storage), name)
    study.resume()
    typer.echo(f'resumed "{name}"')
    _hint_at_workers(study)


def _hint_at_workers(study: "Study") -> None:
    """Say how to start a worker where there is none for what a study has left to do."""
    from histsearch.reports.status import is_served, study_state

    if study_state(study) == "open" and not is_served(study):
        typer.echo(f"no worker serves it at the moment; {workers_hint(study.name)}")


@app.command()
def export(
    name: StudyArgument,
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="How to write the trials.")
    ] = ExportFormat.csv,
    storage: StorageOption = None,
) -> None:
    """Write all trials to standard output, with curves and attributes."""
    from histsearch.studies.catalog import find_study
    from histsearch.studies.export import to_csv, to_json

    writers = {ExportFormat.csv: to_csv, ExportFormat.json: to_json}
    typer.echo(writers[format_](find_study(open_storage(storage), name)))


@app.command()
def delete(
    name: StudyArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    storage: StorageOption = None,
) -> None:
    """Delete a study and all its trials; the models of its runs stay where checkpoints lie."""
    from histsearch.studies.catalog import delete_study

    opened = open_storage(storage)
    if not yes:
        typer.confirm(f'Delete study "{name}" and all its trials?', abort=True)
    delete_study(opened, name)
    typer.echo(f'deleted "{name}"')
