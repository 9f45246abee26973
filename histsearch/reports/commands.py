"""The commands that repeat a study and its retrainings."""

import shlex
from collections.abc import Sequence

from histsearch.studies.chosen_configurations import chosen_configurations
from histsearch.studies.study import Study
from histsearch.studies.trial_record import TUNED


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
        _command("worker", "--study", name, "--drain", "--gpu", "all"),
    ]
    for retraining in retrainings:
        commands += [
            _retrain(name, retraining),
            _command("worker", "--study", retraining.name, "--drain", "--gpu", "all"),
        ]
    return [*commands, _command("report", name, "--out", f"{name}-report")]


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
