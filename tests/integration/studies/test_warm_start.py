"""Studies that begin with what earlier ones have shown."""

from collections.abc import Mapping

import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.search.warm_start import read_earlier_studies
from histsearch.space.configuration import TrainingParameters
from histsearch.space.space import Space
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search, delete_study, find_study
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from tests.integration.claims import claimed
from tests.integration.studies.small_search import small_space

EPOCHS = 4
EARLIER = {"tau": [4, 8, 16, 32], "batch_size": [8, 16, 32]}
LATER = {"tau": [4, 12, 32], "batch_size": [8, 32]}


def freeze_thaw_space(name: str, search: Mapping[str, object] = LATER, **changes: object) -> Space:
    table = {"sampler": "freeze-thaw", "enqueue": [], "epochs": EPOCHS, "trials": 12, "name": name}
    return small_space(**table | changes, search=search)


def earlier_study(storage: Storage, name: str = "cars") -> Study:
    """All its grid, best at τ 32 and batches of 8."""
    study = create_search(storage, freeze_thaw_space(name, EARLIER, sampler="grid"))
    for _ in range(12):
        claim = claimed(study)
        tau, batch_size = claim.trial.params["tau"], claim.trial.params["batch_size"]
        value = 0.5 + 0.01 * tau - 0.005 * batch_size
        claim.record({trial_record.BEST_EPOCH: EPOCHS}, dict.fromkeys(range(1, EPOCHS + 1), value))
        claim.tell(TrialState.COMPLETE, value)
    return study


def test_the_first_trial_is_what_the_earlier_study_favours(storage: Storage) -> None:
    earlier_study(storage)
    study = create_search(storage, freeze_thaw_space("cub"), warm_start=["cars", "cars"])
    assert study.warm_start == ["cars"]
    (earlier,) = read_earlier_studies(study.optuna_study)
    assert earlier.usual == {"tau": 32, "batch_size": 8}
    assert claimed(study).trial.params == {"tau": 32, "batch_size": 8}


def test_a_favourite_that_the_new_space_has_not_is_passed_over(storage: Storage) -> None:
    earlier_study(storage)
    space = freeze_thaw_space("cub", {"tau": [4, 12], "batch_size": [4, 64]})
    study = create_search(storage, space, warm_start=["cars"])
    assert claimed(study).trial.params == {"tau": 12, "batch_size": 4}


def test_it_needs_the_earlier_study_no_more(storage: Storage) -> None:
    earlier_study(storage)
    create_search(storage, freeze_thaw_space("cub"), warm_start=["cars"])
    delete_study(storage, "cars")
    study = find_study(storage, "cub")
    assert study.warm_start == ["cars"]
    for _ in range(3):
        claim = claimed(study)
        claim.record({trial_record.BEST_EPOCH: 1}, {1: 0.5})
        claim.pause()
    assert claimed(study).trial.params.keys() == LATER.keys()


def test_several_earlier_studies(storage: Storage) -> None:
    earlier_study(storage)
    earlier_study(storage, "sop")
    study = create_search(storage, freeze_thaw_space("cub"), warm_start=["sop", "cars"])
    assert study.warm_start == ["sop", "cars"]
    assert claimed(study).trial.params == {"tau": 32, "batch_size": 8}


def test_what_the_new_space_keeps_fixed_is_where_the_earlier_study_is_asked(
    storage: Storage,
) -> None:
    earlier_study(storage)
    space = freeze_thaw_space("cub", {"tau": LATER["tau"]}, fixed={"batch_size": 32})
    study = create_search(storage, space, warm_start=["cars"])
    assert claimed(study).trial.params == {"tau": 32}


def test_what_is_neither_searched_nor_fixed_is_asked_for_as_it_will_be_trained(
    storage: Storage,
) -> None:
    earlier_study(storage)
    study = create_search(
        storage, freeze_thaw_space("cub", {"tau": LATER["tau"]}), warm_start=["cars"]
    )
    (earlier,) = read_earlier_studies(study.optuna_study)
    assert earlier.usual == {"tau": 32, "batch_size": TrainingParameters().batch_size}


@pytest.mark.parametrize(("backbone", "pixels"), [("conv4", 32), ("resnet50", 224)])
def test_images_of_the_backbones_own_size_are_asked_for_at_it(
    storage: Storage, backbone: str, pixels: int
) -> None:
    search = {"tau": [8, 16], "image_size": [32, 64, 224]}
    study = create_search(storage, freeze_thaw_space("cars", search))
    claimed(study).record({trial_record.BEST_EPOCH: 1}, {1: 0.5})
    later = freeze_thaw_space("cub", {"tau": [8, 16]}, backbone=backbone)
    (earlier,) = read_earlier_studies(
        create_search(storage, later, warm_start=["cars"]).optuna_study
    )
    assert earlier.usual["image_size"] == pixels


def test_refusals_create_nothing(storage: Storage) -> None:
    earlier = earlier_study(storage)
    create_retraining(earlier, top=1, seeds=1)
    create_search(storage, freeze_thaw_space("fresh"))
    create_search(storage, freeze_thaw_space("other", {"alpha": [0.9, 1.0]}))
    words = create_search(
        storage, freeze_thaw_space("words", {"distance": ["cosine", "euclidean"]})
    )
    create_search(storage, freeze_thaw_space("map", protocol={"objective": "map_at_r"}))
    claim = claimed(words)
    claim.record({trial_record.BEST_EPOCH: 1}, {1: 0.5})
    refusals = {
        "carz": 'found no study "carz"; did you mean "cars"?',
        "fresh": 'found no epoch to learn from in "fresh" (trials that failed teach nothing); wait '
        "for one, or leave it out",
        "other": 'found "other", which searched alpha; warm-start from a study that searched one '
        "of tau, batch_size",
        "cars-retrain": 'found "cars-retrain", a retraining of one configuration; warm-start from '
        'a search such as "cars"',
        "map": 'found "map", a study of MAP@R, whose curves can\'t be compared with those of R@1; '
        "warm-start from a study of R@1, or leave it out",
    }
    for name, message in refusals.items():
        with pytest.raises(StudyError) as refusal:
            create_search(storage, freeze_thaw_space("cub"), warm_start=[name])
        assert str(refusal.value) == message
    with pytest.raises(StudyError) as refusal:
        create_search(storage, freeze_thaw_space("cub", sampler="tpe"), warm_start=["cars"])
    assert str(refusal.value) == (
        'found the sampler "tpe" with a warm start, allowed: "freeze-thaw"; leave one of the two '
        "out"
    )
    with pytest.raises(StudyError, match='found nothing in "words" that tells this space'):
        create_search(
            storage, freeze_thaw_space("cub", {"distance": ["manhattan"]}), warm_start=["words"]
        )
    with pytest.raises(StudyError, match='found no study "cub"'):
        find_study(storage, "cub")
