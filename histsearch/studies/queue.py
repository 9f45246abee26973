"""A study's queue of trials: claim the next one, or give one back."""

import optuna
import sqlalchemy
from optuna.trial import TrialState

from histsearch.search.sampler import build_sampler
from histsearch.studies.study import Study
from histsearch.studies.trial_record import SEED


def claim(study: Study) -> optuna.Trial | None:
    """Start the study's next trial: a waiting one, else a new one if the budget allows.

    Claims of one study exclude one another in every process, and end with all parameters stored.
    That keeps the budget exact, and lets each choice see the ones being tried elsewhere.

    Returns:
        The running trial with its parameters set, or None when there is nothing to start.
    """
    with study.storage.lock(study.id):
        if not study.is_open:
            return None
        started = study.count() - study.count(TrialState.WAITING)
        space = study.definition.space
        study.optuna_study.sampler = build_sampler(space, space.protocol.seed + started)
        return study.optuna_study.ask(study.definition.distributions())


def give_back(study: Study, trial: optuna.Trial) -> None:
    """Return a running trial to the queue; the next claim starts it again, as it was."""
    study.storage.optuna.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)


def trial_seed(study: Study, trial: optuna.Trial) -> int:
    """The seed of everything random in a trial, fixed by the study.

    Trials of a search have one each. Those of a grid share one, so that they differ in what the
    grid varies alone.
    """
    if study.definition.kind == "retrain":
        return int(trial.params[SEED])
    space = study.definition.space
    return space.protocol.seed + (0 if space.sampler == "grid" else trial.number)


def forget_steps_after(study: Study, trial: optuna.Trial, step: int) -> None:
    """Remove intermediate values that an earlier start of a trial reported beyond ``step``.

    Optuna has no call for it, and would take the last of them for the value of a pruned trial.
    """
    with study.storage.optuna.engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "DELETE FROM trial_intermediate_values WHERE trial_id = :trial AND step > :step"
            ),
            {"trial": trial._trial_id, "step": step},
        )
