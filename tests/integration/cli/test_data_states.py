from pathlib import Path

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.exceptions import CheckpointError
from histsearch.studies.catalog import create_search, delete_study
from histsearch.studies.store_keys import embeddings_key, model_key, states_key
from histsearch.studies.study import Study
from histsearch.training.checkpoint_store import CheckpointStore, open_checkpoint_store
from tests.integration.claims import claimed
from tests.integration.database.relay import relayed
from tests.integration.studies.small_search import small_space
from tests.privileges import ALICE, BOB, acting_as, make_group_folder, needs_root, open_folder


def invoke(storage: Storage, *arguments: str) -> list[str]:
    url = storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, [*arguments, "--storage", url])
    if isinstance(done.exception, CheckpointError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return [" ".join(line.split()) for line in done.output.splitlines()]


def with_files(storage: Storage, store: CheckpointStore, name: str) -> Study:
    """A search with a model and embeddings, and a state of a finished and of a running trial."""
    study = create_search(storage, small_space(), name=name)
    finished, running = claimed(study), claimed(study)
    finished.tell(TrialState.COMPLETE, 0.5)
    for claim in (finished, running):
        states = states_key(study, claim.trial.number)
        store.write(f"{states}/attempt-1/a.ckpt", bytes(400_000))
    store.write(model_key(study, 0), bytes(500_000))
    store.write(embeddings_key(study, 0), bytes(100_000))
    return study


def test_what_lies_where_is_told_and_cleaned(storage: Storage, tmp_path: Path) -> None:
    place = ("--checkpoints", str(tmp_path))
    assert invoke(storage, "data", "states", *place) == [f"no states and no models in {tmp_path}"]

    with pytest.raises(CheckpointError, match="There is no folder"):
        invoke(storage, "data", "states", "--checkpoints", str(tmp_path / "nowhere"))

    store = open_checkpoint_store(str(tmp_path))
    kept, deleted = (with_files(storage, store, name) for name in ("kept", "deleted"))
    delete_study(storage, "deleted")
    store.write("other-0123abcd-89abcdef/0.run/attempt-1/a.ckpt", bytes(400_000))
    head = "study key study is states of left over models embeddings size"
    other = "other 0123abcd of another database 1 trial 0 trials 0 0 0.4 MB"
    keys = [study.definition.key for study in (deleted, kept)]
    models = f"models of deleted studies stay; remove their folders in {tmp_path} yourself"
    unknown = "what belongs to another database, or doesn't say to which, is left alone"
    before = [
        head,
        f"deleted {keys[0]} deleted 0 trials 2 trials 1 0 1.4 MB",
        f"kept {keys[1]} exists 1 trial 1 trial 1 1 1.4 MB",
        other,
    ]
    assert invoke(storage, "data", "states", *place) == [
        *before,
        "1.3 MB are left over, of finished trials and deleted studies: histsearch data states "
        "--clean removes them",
        models,
        unknown,
    ]
    assert invoke(storage, "data", "states", "--clean", *place) == [
        *before,
        "removed what was left over, 1.3 MB",
        models,
        unknown,
    ]
    assert invoke(storage, "data", "states", *place) == [
        head,
        f"deleted {keys[0]} deleted 0 trials 0 trials 1 0 0.5 MB",
        f"kept {keys[1]} exists 1 trial 0 trials 1 1 1.0 MB",
        other,
        models,
        unknown,
    ]


def test_a_study_is_deleted_with_its_files_and_no_others(storage: Storage, tmp_path: Path) -> None:
    store = open_checkpoint_store(str(tmp_path))
    kept, deleted = (with_files(storage, store, name) for name in ("birds-2", "birds"))
    told = invoke(storage, "study", "delete", "birds", "--yes", "--checkpoints", str(tmp_path))
    assert told == ['deleted "birds"', f"its models stay in {tmp_path}"]
    assert {content.key for content in store.contents()} == {
        model_key(deleted, 0),
        model_key(kept, 0),
        embeddings_key(kept, 0),
        *(f"{states_key(kept, number)}/attempt-1/a.ckpt" for number in (0, 1)),
    }


def test_a_place_that_cannot_be_listed_keeps_no_study_from_being_deleted(
    storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    place = ("--checkpoints", str(tmp_path / "file"))
    create_search(storage, small_space())
    with pytest.raises(CheckpointError, match=r"file/ can't be listed \(Not a directory\)"):
        invoke(storage, "data", "states", *place)
    deleted, warning = invoke(storage, "study", "delete", "small", "--yes", *place)
    assert deleted == 'deleted "small"'
    assert warning.startswith("warning: its files may be left, see histsearch data states:")


@needs_root
@pytest.mark.parametrize("command", ["data states --clean", "study delete birds --yes"])
def test_states_that_another_user_keeps_are_named_and_stay(storage: Storage, command: str) -> None:
    with open_folder() as place, relayed(storage.url, place) as url:
        group = make_group_folder(place / "group")
        store = open_checkpoint_store(str(group))
        relayed_storage = Storage(url)
        with acting_as(ALICE, umask=0o022):
            with_files(relayed_storage, store, "birds")
        with acting_as(BOB, umask=0o002):
            told = invoke(relayed_storage, *command.split(), "--checkpoints", str(group))
        (study,) = group.iterdir()
        (warning,) = (line for line in told if line.startswith("warning:"))
        size = "0.4" if command.startswith("data") else "0.9"
        assert warning.startswith(
            f"warning: {size} MB of user {ALICE}'s stay: The checkpoint {study}/"
        )
        assert f"can't be removed (Permission denied): {study}/" in warning
        assert f".run/attempt-1 is user {ALICE}'s, with mode 2755; let user {ALICE} open" in warning
        assert len(store.contents()) == 4


@needs_root
def test_a_folder_that_another_user_closes_is_named_and_the_others_are_listed(
    storage: Storage,
) -> None:
    with open_folder() as place, relayed(storage.url, place) as url:
        group = make_group_folder(place / "group")
        store = open_checkpoint_store(str(group))
        with acting_as(ALICE, umask=0o077):
            store.write("birds-0123abcd-89abcdef/0.pt", b"a model")
            store.write("check", b"")
        with acting_as(BOB, umask=0o002):
            store.write("cars-0123abcd-89abcdef/0.pt", b"a model")
            warning, *told = invoke(Storage(url), "data", "states", "--checkpoints", str(group))
        assert warning.startswith(
            f"warning: The checkpoint {group}/birds-0123abcd-89abcdef can't be listed (Permission "
            f"denied): {group}/birds-0123abcd-89abcdef is user {ALICE}'s, with mode 2700; let user"
        )
        assert told[1].startswith("cars 0123abcd of another database")
