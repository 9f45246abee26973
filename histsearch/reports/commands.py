"""The commands that repeat a study and its retrainings."""

import shlex
from collections.abc import Sequence

from histsearch.studies.chosen_configurations import chosen_configurations
from histsearch.studies.study import Study
from histsearch.studies.trial_record import ACCELERATED, TUNED


def repeating_commands(study: Study, retrainings: Sequence[Study]) -> list[str]:
    """The commands that repeat a search, its retrainings and its report, one a line.

    The search reads its space from ``NAME.toml``.

    Args:
        study: The search.
        retrainings: Its retrainings.
    """
    name = study.name
    create = _command("study", "create", f"{name}.toml", "--name", name)
    earlier = [one for earlier in study.warm_start for one in ("--warm-start", earlier)]
    commands = [
        " ".join([create, _arguments("--trials", str(study.budget), *earlier)]),
        _worker(study, study),
    ]
    for retraining in retrainings:
        commands += [_retrain(name, retraining), _worker(retraining, study)]
    return [*commands, _command("report", name, "--out", f"{name}-report")]


def _worker(study: Study, search: Study) -> str:
    """A worker on the kind of device that a study ran on; as its search, where none has run."""
    on_gpu = _ran_on_gpu(study)
    if on_gpu is None:
        on_gpu = _ran_on_gpu(search)
    device = ("--device", "cpu") if on_gpu is False else ("--gpu", "all")
    return _command("worker", "--study", study.name, "--drain", *device)


def _ran_on_gpu(study: Study) -> bool | None:
    """Whether a GPU did some of the work; None where no trial says."""
    known = [
        trial.user_attrs[ACCELERATED] for trial in study.trials() if ACCELERATED in trial.user_attrs
    ]
    return any(known) if known else None


def _retrain(search: str, retraining: Study) -> str:
    chosen = chosen_configurations(retraining)
    top = sum(one.origin.role == TUNED for one in chosen)
    seeds = retraining.budget // len(chosen) if chosen else 1
    baselines = dict.fromkeys(name for one in chosen for name in one.origin.baselines)
    return _command(
        *("retrain", search, "--name", retraining.name, "--top", str(top), "--seeds", str(seeds)),
        *(argument for name in baselines for argument in ("--baseline", name)),
    )


def _command(*arguments: str) -> str:
    return f"histsearch {_arguments(*arguments)}"


def _arguments(*arguments: str) -> str:
    return shlex.join(arguments)
