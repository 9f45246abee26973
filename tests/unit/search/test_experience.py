"""What one study teaches another, from trials to expectations."""

import json

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from histsearch.search.candidates import Configuration, SearchSpace
from histsearch.search.experience import EXPERIENCES, Experience, read_experiences
from histsearch.search.hist_sampler import HistSampler
from histsearch.search.history import DIVERGED, learn, learn_from
from histsearch.search.planner import Planner, TrialView

EPOCHS = 4
SPACE: dict[str, BaseDistribution] = {
    "tau": CategoricalDistribution((4, 8, 16, 32)),
    "batch_size": CategoricalDistribution((8, 16, 32)),
    "optimizer": CategoricalDistribution(("adam", "adamw")),
}


def recall(configuration: Configuration) -> float:
    """In percent: best at τ 16 and batches of 8, worse with each step away; adamw helps."""
    steps = abs(np.log2(configuration["tau"] / 16)) + abs(np.log2(configuration["batch_size"] / 8))
    return float(80 - 4 * steps + 2 * (configuration["optimizer"] == "adamw"))


def experience(space: dict[str, BaseDistribution] = SPACE) -> Experience:
    candidates = SearchSpace(space).candidates((), (), np.random.default_rng(0))
    views = [
        TrialView(row, (recall(one) - 10, recall(one) - 3, recall(one)))
        for row, one in enumerate(candidates.configurations)
    ]
    return learn_from("cars", space, candidates, views, EPOCHS)


def configuration(tau: float, batch_size: float, optimizer: str = "adamw") -> Configuration:
    return {"tau": tau, "batch_size": batch_size, "optimizer": optimizer}


def test_the_best_of_the_earlier_study_is_expected_most_of() -> None:
    learned = experience()
    every = SearchSpace(SPACE).candidates((), (), np.random.default_rng(0)).configurations
    f_G = learned.expects(every)[:, 0]
    assert every[int(f_G.argmax())] == configuration(16, 8)
    truth_G = np.array([recall(one) for one in every])
    assert f_G.mean() == pytest.approx(0.0)
    assert np.ptp(f_G - truth_G) < 1.0, "differences are those of the earlier study, in points"


def test_a_study_remembers_it_as_json() -> None:
    learned = experience()
    again = Experience.from_json(json.loads(json.dumps(learned.to_json())))
    asked = [configuration(4, 32), configuration(16, 8, "adam")]
    np.testing.assert_allclose(again.expects(asked), learned.expects(asked), rtol=1e-3, atol=1e-3)
    assert again.study == "cars"
    assert again.usual == configuration(16, 8)


def test_values_of_another_space_are_looked_at_as_the_nearest() -> None:
    learned = experience()
    asked = [configuration(tau, 8) for tau in (15, 16, 1000, 32)]
    near, itself, far, last = learned.expects(asked)
    np.testing.assert_allclose(near, itself)
    np.testing.assert_allclose(far, last)
    assert (itself != last).any()


def test_a_parameter_that_is_not_searched_has_its_usual_value() -> None:
    learned = experience()
    left_out = {"tau": 16, "lr": 0.1}
    usual, best, other = learned.expects([left_out, configuration(16, 8), configuration(16, 32)])
    np.testing.assert_allclose(usual, best)
    fixed = learned.with_usual({"batch_size": 32, "epochs": 7})
    usual, best, other = fixed.expects([left_out, configuration(16, 8), configuration(16, 32)])
    np.testing.assert_allclose(usual, other)
    assert (best != other).any()


def test_of_an_unknown_word_the_average_is_expected() -> None:
    asked = [configuration(16, 8), configuration(4, 32), configuration(16, 8, "sgd")]
    best, worst, unknown = experience().expects(asked)
    np.testing.assert_allclose(best + worst, 0.0, atol=1e-9)
    assert not unknown.any()


def test_ranges_teach_lists() -> None:
    space: dict[str, BaseDistribution] = {"tau": FloatDistribution(4, 64, log=True)}
    candidates = SearchSpace(space).candidates(
        [{"tau": float(tau)} for tau in range(4, 64, 6)], (), np.random.default_rng(0)
    )
    views = [
        TrialView(row, (50.0 + one["tau"], 50.0 + one["tau"]))
        for row, one in enumerate(candidates.configurations[:10])
    ]
    learned = learn_from("sop", space, candidates, views, EPOCHS)
    low, high, beyond, none = learned.expects([{"tau": tau} for tau in (4, 58, 100, 0)])[:, 0]
    assert high - low > 20
    assert beyond >= high
    assert none == 0.0


def hist_study(learned: Experience) -> tuple[optuna.Study, HistSampler]:
    sampler = HistSampler(SPACE, EPOCHS, seed=3)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.set_user_attr(EXPERIENCES, [learned.to_json()])
    return study, sampler


def test_a_study_begins_with_what_the_earlier_one_favours() -> None:
    study, _ = hist_study(experience())
    assert study.ask(SPACE).params == configuration(16, 8)


def test_what_fails_before_its_first_epoch_is_not_begun_with_again() -> None:
    study, _ = hist_study(experience())
    tried = []
    for _ in range(3):
        trial = study.ask(SPACE)
        tried.append(tuple(trial.params.values()))
        study.tell(trial, state=TrialState.FAIL)
    assert len(set(tried)) == 3


def test_in_a_large_space_the_favourite_is_among_the_candidates() -> None:
    large: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(tuple(range(6))) for name in "abcdef"
    }
    candidates = SearchSpace(large).candidates((), (), np.random.default_rng(0))
    views = [
        TrialView(row, (50.0 + sum(one.values()),) * EPOCHS)
        for row, one in enumerate(candidates.configurations[:60])
    ]
    learned = learn_from("cars", large, candidates, views, EPOCHS)
    learned = learned.with_usual(dict.fromkeys("abcdef", 5))
    sampler = HistSampler(large, EPOCHS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.set_user_attr(EXPERIENCES, [learned.to_json()])
    assert study.ask(large).params == dict.fromkeys("abcdef", 5)


def test_what_an_earlier_version_learned_is_only_its_favourite() -> None:
    entry = experience().to_json()
    entry["weights"] = entry["weights"][:2]
    sampler = HistSampler(SPACE, EPOCHS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.set_user_attr(EXPERIENCES, [entry])
    trial = study.ask(SPACE)
    assert SearchSpace(SPACE).holds(trial.params)
    (again,) = read_experiences(study)
    assert again.usual == configuration(16, 8)
    assert not again.expects([configuration(4, 32), configuration(16, 8)]).any()


def test_what_failed_or_diverged_teaches_nothing() -> None:
    study = optuna.create_study(direction="maximize")
    for tau in (4, 8, 16):
        study.add_trial(told(configuration(tau, 8), [60.0 + tau] * EPOCHS))
    bad = told(configuration(32, 32), [90.0, 95.0])
    bad.set_user_attr(DIVERGED, True)
    study.add_trial(bad)
    learned = learn("cars", study, SPACE, EPOCHS)
    assert learned is not None
    assert learned.usual == configuration(16, 8)
    assert configuration(32, 32) not in learned.configurations


def told(params: Configuration, recalls: list[float]) -> FrozenTrial:
    return optuna.trial.create_trial(
        params=params,
        distributions=SPACE,
        value=recalls[-1] / 100,
        intermediate_values={number + 1: value / 100 for number, value in enumerate(recalls)},
    )


@pytest.mark.parametrize("sign", [1.0, 0.0, -1.0])
def test_what_many_trials_show_outweighs_all_experience(sign: float) -> None:
    candidates = SearchSpace(SPACE).candidates((), (), np.random.default_rng(0))
    truth_G = np.array([recall(one) for one in candidates.configurations])
    lucks = np.random.default_rng(0).normal(scale=0.5, size=(len(truth_G), EPOCHS))
    views = [TrialView(row, tuple(truth + lucks[row])) for row, truth in enumerate(truth_G)]
    expected = sign * experience().expects(candidates.configurations)
    planner = Planner(
        candidates.places_GD, candidates.distances_D, EPOCHS, earlier_KGB=expected[None]
    )
    for _ in range(3):
        planner.fit_to(views)
    assert candidates.configurations[planner.answer(views).configuration] == configuration(16, 8)
    assert np.abs(planner.posterior(views).mean_G - truth_G).max() < 1.0


def test_a_study_without_an_epoch_teaches_nothing() -> None:
    assert learn("new", optuna.create_study(direction="maximize"), SPACE, EPOCHS) is None
