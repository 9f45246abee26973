from dataclasses import replace
from pathlib import Path

from optuna.trial import TrialState
from typer.testing import CliRunner, Result

from histsearch.cli.main import app
from histsearch.data.census import Census, Part
from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.studies.catalog import create_search, find_study, list_studies
from histsearch.studies.images import note_census
from histsearch.studies.study import Study
from histsearch.studies.trial_record import RECALL, ROLE, TUNED
from tests.integration.claims import claim_next
from tests.integration.studies.small_search import ENQUEUED, complete_with, small_space
from tests.pages import read_page


def invoke(storage: Storage, *arguments: str) -> Result:
    url = storage.url.render_as_string(hide_password=False)
    return CliRunner().invoke(app, [*arguments, "--storage", url])


def run_all(retraining: Study) -> None:
    """Give each run that waits a figure."""
    while (claim := claim_next(retraining)) is not None:
        recall = 0.5 + 0.1 * (claim.seed % 2) + 0.01 * (claim.trial.user_attrs[ROLE] == TUNED)
        claim.record({RECALL: {"1": recall}})
        claim.tell(TrialState.COMPLETE, recall)


def test_the_highest_recall_that_the_images_allow_is_warned_of(storage: Storage) -> None:
    search = create_search(storage, small_space(epochs=3, enqueue=[ENQUEUED], trials=1))
    part = Part("validation", classes=60, images=200, lone=50)
    note_census(search, Census(replace(part, name="training"), part, replace(part, name="test")))
    complete_with(search, {1: 0.5, 2: 0.7, 3: 0.75})
    created = invoke(storage, "retrain", "small", "--seeds", "1")
    assert "warning: tuned #0 of small-retrain reached R@1 75.0% in the search" in created.stderr


def test_seeds_are_added_until_the_report_tells_two_apart(storage: Storage, tmp_path: Path) -> None:
    enqueued = [ENQUEUED, {**ENQUEUED, "batch_size": 32}]
    search = create_search(storage, small_space(epochs=3, enqueue=enqueued, trials=2))
    complete_with(search, {1: 0.5, 2: 0.6, 3: 0.7})
    complete_with(search, {1: 1.0, 2: 1.0, 3: 1.0})
    created = invoke(storage, "retrain", "small", "--seeds", "3", "--baseline", "first")
    assert created.exit_code == 0
    assert (
        'created study "small-retrain": 6 trials, tuned #1 for 3 epochs, baseline first #0 '
        "for 3 epochs\n"
    ) in created.stdout
    warning = "warning: tuned #1 of small-retrain reached R@1 100.0% in the search"
    assert warning in created.stderr
    retraining = find_study(storage, "small-retrain")
    run_all(retraining)
    report = ("report", "small", "--out", str(tmp_path))
    reported = invoke(storage, *report)
    assert "a verdict needs 5: histsearch retrain small-retrain --add-seeds 2." in reported.stdout
    assert warning in reported.stderr
    warnings = [
        one.text
        for one in read_page((tmp_path / "report.html").read_text()).all("p")
        if one.attributes.get("class") == "warning"
    ]
    assert any(one.startswith("tuned #1 of small-retrain reached") for one in warnings)

    added = invoke(storage, "retrain", "small", "--add-seeds", "5")
    assert (
        'added seeds 1000003 to 1000007 of each configuration to "small-retrain", now 16 trials\n'
        "start workers with: histsearch worker --study small-retrain"
    ) in added.stdout
    run_all(retraining)
    assert "tuned #1, n = 8" in invoke(storage, *report).stdout
    assert (
        "added seed 1000008 of each"
        in invoke(storage, "retrain", "small-retrain", "--add-seeds", "1").stdout
    )


def searched(storage: Storage, *names: str) -> None:
    """Create searches, and complete a trial of each."""
    for name in names:
        search = create_search(storage, small_space(epochs=3), name=name, trials=1)
        complete_with(search, {1: 0.5, 2: 0.6, 3: 0.7})


def test_several_searches_are_retrained_and_given_seeds_alike(storage: Storage) -> None:
    searched(storage, "one", "two")
    done = invoke(storage, "retrain", "one", "two", "one", "--seeds", "3")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        'created study "one-retrain"',
        'created study "two-retrain"',
        "start workers with",
    ]
    assert "histsearch worker --study one-retrain --study two-retrain --gpu 0" in lines[2]
    for name in ("one-retrain", "two-retrain"):
        assert find_study(storage, name).count() == 3
    added = invoke(storage, "retrain", "one", "two-retrain", "two", "--add-seeds", "2")
    assert added.stdout.count("added seeds 1000003 to 1000004 of each configuration to ") == 2
    assert find_study(storage, "two-retrain").count() == 5


def test_of_several_searches_all_are_retrained_or_none(storage: Storage) -> None:
    searched(storage, "one", "two", "three")
    create_search(storage, small_space(epochs=3), name="four")
    assert invoke(storage, "retrain", "three").exit_code == 0
    refused = invoke(storage, "retrain", "one", "two", "three", "four")
    assert isinstance(refused.exception, StudyError)
    taken, incomplete = refused.exception.lines
    assert 'found a retraining named "three-retrain" already' in taken
    assert "create another with histsearch retrain three --name NAME," in taken
    assert 'found 0 distinct completed configurations in "four"' in incomplete
    many = invoke(storage, "retrain", "one", "two", "--seeds", "0")
    assert isinstance(many.exception, StudyError)
    assert len(many.exception.lines) == 1
    unknown = invoke(storage, "retrain", "one", "five")
    assert 'found no study "five"' in str(unknown.exception)
    create_search(storage, small_space(), name="two-retrain")
    taken_by_a_search = invoke(storage, "retrain", "one", "two")
    assert 'found a study named "two-retrain" already' in str(taken_by_a_search.exception)
    names = {study.name for study in list_studies(storage)}
    assert names == {"one", "two", "three", "four", "three-retrain", "two-retrain"}


def test_seeds_are_added_to_all_retrainings_or_none(storage: Storage) -> None:
    searched(storage, "one", "two")
    assert invoke(storage, "retrain", "one", "--seeds", "1").exit_code == 0
    refused = invoke(storage, "retrain", "one", "two", "--add-seeds", "1")
    assert 'found no retraining of "two"' in str(refused.exception)
    too_many = invoke(storage, "retrain", "one", "--add-seeds", "1001")
    assert "found 1,001 seeds to add" in str(too_many.exception)
    assert find_study(storage, "one-retrain").count() == 1


def test_a_name_is_for_the_retraining_of_one_search(storage: Storage) -> None:
    searched(storage, "one", "two")
    refused = invoke(storage, "retrain", "one", "two", "--name", "both")
    assert str(refused.exception) == (
        "found --name both with 2 searches, allowed: with one; leave it out"
    )
    assert invoke(storage, "retrain", "one", "--name", "own").exit_code == 0
    assert find_study(storage, "own").definition.source == "one"


def test_baselines_are_named_and_noted(storage: Storage, tmp_path: Path) -> None:
    authors = {"name": "authors", "alpha": 1.5}
    space = small_space(epochs=3, enqueue=[ENQUEUED], trials=1, baseline=[authors])
    complete_with(create_search(storage, space), {1: 0.5, 2: 0.6, 3: 0.7})
    unknown = invoke(storage, "retrain", "small", "--baseline", "author")
    assert isinstance(unknown.exception, StudyError)
    assert str(unknown.exception) == (
        'found the baseline "author" of "small", allowed: first, authors'
    )
    created = invoke(storage, "retrain", "small", "--baseline", "first", "--baseline", "authors")
    assert (
        'created study "small-retrain": 10 trials, tuned #0 (baseline first) for 3 epochs, '
        "baseline authors for 3 epochs\n"
        'note: the winner is the baseline "first", so it is retrained once\n'
    ) in created.stdout
    run_all(find_study(storage, "small-retrain"))
    reported = invoke(storage, "report", "small", "--out", str(tmp_path))
    assert 'The winner is the baseline "first".\n' in reported.stdout
    assert "tuned #0 (baseline first) minus baseline authors: +1.0 points of R@1" in (
        reported.stdout
    )


def test_seeds_are_not_added_with_the_options_of_a_new_retraining(storage: Storage) -> None:
    for option in (("--top", "1"), ("--seeds", "3"), ("--baseline", "first")):
        refused = invoke(storage, "retrain", "small", "--add-seeds", "5", *option)
        assert isinstance(refused.exception, StudyError)
        assert "found --add-seeds with --top, --seeds or --baseline" in str(refused.exception)
