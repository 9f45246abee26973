"""What a study remembers of earlier ones, and how it begins with that."""

import json

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from histsearch.freeze_thaw.earlier_study import EarlierStudy, learn_from
from histsearch.freeze_thaw.trials import Configuration, TrialView
from histsearch.search.freeze_thaw_parameters import distribution, space_of
from histsearch.search.freeze_thaw_sampler import FreezeThawSampler
from histsearch.search.freeze_thaw_trials import DIVERGED
from histsearch.search.warm_start import (
    EARLIER_STUDIES,
    from_json,
    learn,
    read_earlier_studies,
    to_json,
)
from tests.unit.freeze_thaw.cars import EPOCHS, SPACE, configuration, earlier_study

DISTRIBUTIONS = {name: distribution(one) for name, one in SPACE.parameters.items()}


def test_a_study_remembers_it_as_json() -> None:
    learned = earlier_study()
    again = from_json(json.loads(json.dumps(to_json(learned))))
    asked = [configuration(4, 32), configuration(16, 8, "adam")]
    np.testing.assert_allclose(again.expects(asked), learned.expects(asked), rtol=1e-3, atol=1e-3)
    assert again.study == "cars"
    assert again.usual == configuration(16, 8)
    assert again.space.parameters == SPACE.parameters


def warm_study(learned: EarlierStudy) -> tuple[optuna.Study, FreezeThawSampler]:
    sampler = FreezeThawSampler(DISTRIBUTIONS, EPOCHS, seed=3)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.set_user_attr(EARLIER_STUDIES, [to_json(learned)])
    return study, sampler


def test_a_study_begins_with_what_the_earlier_one_favours() -> None:
    study, _ = warm_study(earlier_study())
    assert study.ask(DISTRIBUTIONS).params == configuration(16, 8)


def test_what_fails_before_its_first_epoch_is_not_begun_with_again() -> None:
    study, _ = warm_study(earlier_study())
    tried = []
    for _ in range(3):
        trial = study.ask(DISTRIBUTIONS)
        tried.append(tuple(trial.params.values()))
        study.tell(trial, state=TrialState.FAIL)
    assert len(set(tried)) == 3


def test_in_a_large_space_the_favourite_is_among_the_candidates() -> None:
    large: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(tuple(range(6))) for name in "abcdef"
    }
    candidates = space_of(large).candidates((), (), np.random.default_rng(0))
    views = [
        TrialView(row, (50.0 + sum(one.values()),) * EPOCHS)
        for row, one in enumerate(candidates.configurations[:20])
    ]
    learned = learn_from("cars", candidates, views, EPOCHS)
    learned = learned.with_usual(dict.fromkeys("abcdef", 5))
    sampler = FreezeThawSampler(large, EPOCHS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.set_user_attr(EARLIER_STUDIES, [to_json(learned)])
    assert study.ask(large).params == dict.fromkeys("abcdef", 5)


def test_what_an_earlier_version_learned_is_only_its_favourite() -> None:
    entry = to_json(earlier_study())
    entry["weights"] = entry["weights"][:2]
    sampler = FreezeThawSampler(DISTRIBUTIONS, EPOCHS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.set_user_attr(EARLIER_STUDIES, [entry])
    trial = study.ask(DISTRIBUTIONS)
    assert SPACE.holds(trial.params)
    (again,) = read_earlier_studies(study)
    assert again.usual == configuration(16, 8)
    assert not again.expects([configuration(4, 32), configuration(16, 8)]).any()


def test_what_failed_or_diverged_teaches_nothing() -> None:
    study = optuna.create_study(direction="maximize")
    for tau in (4, 8, 16):
        study.add_trial(told(configuration(tau, 8), [60.0 + tau] * EPOCHS))
    bad = told(configuration(32, 32), [90.0, 95.0])
    bad.set_user_attr(DIVERGED, True)
    study.add_trial(bad)
    learned = learn("cars", study, DISTRIBUTIONS, EPOCHS)
    assert learned is not None
    assert learned.usual == configuration(16, 8)
    assert configuration(32, 32) not in learned.configurations


def told(params: Configuration, recalls: list[float]) -> FrozenTrial:
    return optuna.trial.create_trial(
        params=params,
        distributions=DISTRIBUTIONS,
        value=recalls[-1] / 100,
        intermediate_values={number + 1: value / 100 for number, value in enumerate(recalls)},
    )


def test_a_study_without_an_epoch_teaches_nothing() -> None:
    assert learn("new", optuna.create_study(direction="maximize"), DISTRIBUTIONS, EPOCHS) is None
