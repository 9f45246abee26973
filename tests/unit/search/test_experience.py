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

from histsearch.search.candidates import Configuration, SearchSpace
from histsearch.search.experience import EXPERIENCES, Experience
from histsearch.search.hist_sampler import HistSampler
from histsearch.search.history import learn, learn_from
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
    near, far = learned.expects([configuration(15, 8), configuration(1000, 8)])
    np.testing.assert_allclose(near, learned.expects([configuration(16, 8)])[0])
    np.testing.assert_allclose(far, learned.expects([configuration(32, 8)])[0])


def test_a_parameter_that_is_not_searched_has_its_usual_value() -> None:
    learned = experience()
    left_out = [{"tau": 16, "lr": 0.1}]
    np.testing.assert_allclose(
        learned.expects(left_out), learned.expects([configuration(16, 8, "adamw")])
    )
    fixed = learned.with_usual({"batch_size": 32, "epochs": 7})
    np.testing.assert_allclose(fixed.expects(left_out), learned.expects([configuration(16, 32)]))


def test_of_an_unknown_word_nothing_is_expected() -> None:
    assert not experience().expects([configuration(16, 8, "sgd")]).any()


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


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_right_or_wrong_the_best_is_found(sign: float) -> None:
    learned = experience()
    learned = learned._replace(weights_2V=sign * learned.weights_2V)
    study, _ = hist_study(learned)
    for number in range(14):
        trial = study.ask(SPACE)
        noise = np.random.default_rng(number).normal(scale=0.3, size=EPOCHS)
        for epoch in range(1, EPOCHS + 1):
            value = recall(trial.params) - 10 / epoch + noise[epoch - 1]
            trial.report(value / 100, epoch)
        study.tell(trial, value / 100)
    taught = learn("later", study, SPACE, EPOCHS)
    assert taught is not None
    assert recall(taught.usual) >= recall(configuration(16, 8)) - 4.1


@pytest.mark.parametrize("sign", [1.0, 0.0, -1.0])
def test_what_many_trials_show_outweighs_all_experience(sign: float) -> None:
    candidates = SearchSpace(SPACE).candidates((), (), np.random.default_rng(0))
    truth_G = np.array([recall(one) for one in candidates.configurations])
    lucks = np.random.default_rng(0).normal(scale=0.5, size=(len(truth_G), EPOCHS))
    views = [TrialView(row, tuple(truth + lucks[row])) for row, truth in enumerate(truth_G)]
    expected = sign * experience().expects(candidates.configurations)
    planner = Planner(
        candidates.places_GD, candidates.distances_D, EPOCHS, earlier_KG2=expected[None]
    )
    for _ in range(3):
        planner.fit_to(views)
    assert candidates.configurations[planner.answer(views).configuration] == configuration(16, 8)
    assert np.abs(planner.posterior(views).mean_G - truth_G).max() < 1.0


def test_a_study_without_an_epoch_teaches_nothing() -> None:
    assert learn("new", optuna.create_study(direction="maximize"), SPACE, EPOCHS) is None
