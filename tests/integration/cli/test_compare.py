import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError, StudyError
from histsearch.space.reading import parse_space
from histsearch.space.writing import space_toml
from histsearch.studies.catalog import create_search, find_study, list_studies
from histsearch.studies.limit_changes import change_limits
from histsearch.studies.retraining import create_retraining
from tests.integration.claims import tell

LR = {"low": 1e-4, "high": 1e-2, "log": True}
COMMON: dict[str, Any] = {
    "dataset": "folder:stripes",
    "backbone": "conv4",
    "epochs": 2,
    "trials": 4,
    "fixed": {"embedding_size": 16},
}
HIST: dict[str, Any] = {
    **COMMON,
    "name": "by-hist",
    "search": {"lr": LR, "tau": [8, 16]},
    "enqueue": [{"lr": 1e-3, "tau": 16}],
}
PROXY_ANCHOR: dict[str, Any] = {
    **COMMON,
    "name": "by-proxy-anchor",
    "loss": {"name": "proxy-anchor"},
    "search": {"lr": LR, "alpha": [8, 16, 32]},
}
NAMES = ["by-hist", "by-proxy-anchor"]


def write(path: Path, table: dict[str, Any], **changes: Any) -> str:
    """Write a space as a TOML file; its path."""
    path.write_text(space_toml(parse_space({**table, **changes}, source="s.toml")))
    return str(path)


@pytest.fixture
def spaces(tmp_path: Path) -> list[str]:
    """Two spaces that are tuned alike, as files."""
    return [write(tmp_path / f"{table['name']}.toml", table) for table in (HIST, PROXY_ANCHOR)]


def compare(storage: Storage, *arguments: str) -> Result:
    url = storage.url.render_as_string(hide_password=False)
    return CliRunner().invoke(app, ["compare", *arguments, "--storage", url])


def refused(storage: Storage, *arguments: str) -> str:
    """What the command says to what it refuses."""
    done = compare(storage, *arguments)
    assert isinstance(done.exception, SpaceError | StudyError), done.output
    return str(done.exception)


def created(storage: Storage) -> list[str]:
    return [study.name for study in list_studies(storage)]


def states(done: Result) -> dict[str, str]:
    """What the table says became of each study."""
    assert done.exit_code == 0, done.output
    rows = re.findall(r"^(by-\S+) .* (created|exists) *$", done.stdout, flags=re.MULTILINE)
    return dict(rows)


def test_searches_tuned_alike_are_created_with_their_queues(
    storage: Storage, spaces: list[str]
) -> None:
    done = compare(storage, *spaces, "--trials", "6")
    assert states(done) == dict.fromkeys(NAMES, "created")
    assert re.search(r"by-hist +hist +lr, tau +6 +created", done.stdout)
    assert re.search(r"by-proxy-anchor +proxy-anchor +lr, alpha +6 +created", done.stdout)
    hist, proxy_anchor = (find_study(storage, name) for name in NAMES)
    assert (hist.budget, proxy_anchor.budget) == (6, 6)
    (queued,) = hist.trials()
    assert queued.system_attrs["fixed_params"] == HIST["enqueue"][0]
    assert proxy_anchor.trials() == []
    for command in (
        "worker --study by-hist --study by-proxy-anchor --gpu all --drain",
        "retrain by-hist by-proxy-anchor",
        "worker --study by-hist-retrain --study by-proxy-anchor-retrain --gpu all --drain",
        "report by-hist by-proxy-anchor --out comparison",
    ):
        assert f"  histsearch {command}\n" in done.stdout


def test_a_folder_stands_for_its_spaces_each_once(
    storage: Storage, spaces: list[str], tmp_path: Path
) -> None:
    below = tmp_path / "below"
    below.mkdir()
    write(below / "another.toml", HIST, name="another")
    done = compare(storage, str(tmp_path), spaces[0])
    assert states(done) == dict.fromkeys(NAMES, "created")
    assert created(storage) == NAMES
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f'found no TOML file in the folder "{empty}"' in refused(storage, *spaces, str(empty))


@pytest.mark.usefixtures("spaces")
def test_hidden_files_of_a_folder_are_left_out(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / ".#by-hist.toml").symlink_to("somebody@host.1")  # Emacs's lock
    (tmp_path / "._by-hist.toml").write_bytes(b"\0\5\x16\7")  # macOS's attributes
    assert states(compare(storage, str(tmp_path))) == dict.fromkeys(NAMES, "created")


@pytest.mark.usefixtures("spaces")
def test_an_empty_name_is_not_the_current_folder(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(storage, "").startswith('found no space ""')


def test_a_folder_that_comes_with_histsearch_is_known_by_name(storage: Storage) -> None:
    done = compare(storage, "reality-check/small/")
    assert done.exit_code == 0, done.output
    names = {name.removeprefix("reality-check-small-") for name in created(storage)}
    assert names == {"contrastive", "hist", "multi-similarity", "proxy-anchor", "soft-triple"}


def test_what_exists_is_kept(storage: Storage, spaces: list[str]) -> None:
    create_search(storage, parse_space(HIST, source="s.toml"))
    key = find_study(storage, NAMES[0]).definition.key
    assert states(compare(storage, *spaces)) == dict(zip(NAMES, ("exists", "created"), strict=True))
    assert states(compare(storage, *spaces)) == dict.fromkeys(NAMES, "exists")
    assert find_study(storage, NAMES[0]).definition.key == key
    assert len(find_study(storage, NAMES[0]).trials()) == 1


def test_what_is_retrained_already_is_not_to_be_retrained_again(
    storage: Storage, spaces: list[str]
) -> None:
    search = create_search(storage, parse_space(HIST, source="s.toml"))
    tell(search, 0.5, best_epoch=1)
    create_retraining(search, seeds=1, name="earlier")
    commands = compare(storage, *spaces).stdout
    assert "  histsearch retrain by-proxy-anchor\n" in commands
    assert "worker --study earlier --study by-proxy-anchor-retrain --gpu all" in commands
    both = find_study(storage, NAMES[1])
    tell(both, 0.5, best_epoch=1)
    create_retraining(both, seeds=1)
    assert "histsearch retrain" not in compare(storage, *spaces).stdout


def test_a_name_of_another_definition_is_refused(storage: Storage, spaces: list[str]) -> None:
    space = parse_space({**HIST, "search": {"lr": LR, "tau": [8]}, "enqueue": []}, source="s.toml")
    create_search(storage, space)
    assert refused(storage, *spaces) == (
        'found a study named "by-hist" already, which differs from the space in search, enqueue; '
        "give the space another name, or delete the study with histsearch study delete by-hist"
    )
    assert created(storage) == NAMES[:1]


def test_a_study_that_was_given_other_limits_is_refused(
    storage: Storage, spaces: list[str]
) -> None:
    compare(storage, *spaces)
    changes = {"trials": 9, "gpu_hours": 2.0, "decided": False}
    change_limits(find_study(storage, NAMES[1]), changes)
    assert refused(storage, *spaces) == (
        'found a study named "by-proxy-anchor" already, which differs from the space in trials, '
        "gpu_hours, decided; give the space another name, or change the study with histsearch "
        "study set by-proxy-anchor trials=4 gpu_hours=false "
        "'decided={delta = 0.5, epsilon = 0.05}'"
    )
    _, advice = refused(storage, *spaces).split("change the study with histsearch ")
    url = storage.url.render_as_string(hide_password=False)
    changed = CliRunner().invoke(app, [*shlex.split(advice), "--storage", url])
    assert changed.exit_code == 0, changed.output
    assert states(compare(storage, *spaces)) == dict.fromkeys(NAMES, "exists")


def test_a_name_of_a_retraining_is_refused(storage: Storage, spaces: list[str]) -> None:
    search = create_search(storage, parse_space(HIST, source="s.toml"), name="earlier", trials=1)
    tell(search, 0.5, best_epoch=1)
    create_retraining(search, name=NAMES[1], seeds=1)
    assert f'found "{NAMES[1]}", a retraining of "earlier"' in refused(storage, *spaces)
    assert NAMES[0] not in created(storage)


def test_spaces_that_are_not_tuned_alike_create_nothing(
    storage: Storage, spaces: list[str], tmp_path: Path
) -> None:
    changes = {"name": "by-third", "epochs": 3, "fixed": {"embedding_size": 32}}
    third = write(tmp_path / "third.toml", HIST, **changes)
    assert refused(storage, *spaces, third).splitlines()[1:] == [
        "  epochs: 3 in by-third, 2 in the others",
        "  embedding_size: 32 in by-third, 16 in the others",
    ]
    assert created(storage) == []


def test_two_that_differ_are_both_named(
    storage: Storage, spaces: list[str], tmp_path: Path
) -> None:
    other = write(tmp_path / "other.toml", PROXY_ANCHOR, precision="bf16")
    text = refused(storage, spaces[0], other)
    assert text.startswith("found spaces that aren't tuned alike, allowed: the same values")
    assert '  precision: "fp32" in by-hist, "bf16" in by-proxy-anchor' in text
    assert created(storage) == []


def test_all_faults_of_all_spaces_are_named_at_once(
    storage: Storage, spaces: list[str], tmp_path: Path
) -> None:
    faulty = []
    for number, fault in enumerate(("epochs = 0", 'optimiser = "adam"')):
        path = tmp_path / f"faulty{number}.toml"
        path.write_text(f"{fault}\n" + Path(spaces[number]).read_text())
        faulty.append(str(path))
    text = refused(storage, spaces[0], *faulty, "nowhere.toml")
    assert 'found no space "nowhere.toml"' in text
    assert "faulty0.toml: " in text
    assert "faulty1.toml: optimiser: found an unknown key" in text
    assert created(storage) == []


def test_one_space_or_two_of_a_name_are_refused(
    storage: Storage, spaces: list[str], tmp_path: Path
) -> None:
    assert "found 1 space to compare, needed: 2 or more" in refused(storage, spaces[0], spaces[0])
    again = write(tmp_path / "again.toml", HIST)
    assert "found several spaces with the name by-hist" in refused(storage, *spaces, again)


def test_a_budget_that_a_queue_exceeds_is_refused_for_each_space(
    storage: Storage, spaces: list[str], tmp_path: Path
) -> None:
    queue = [{"lr": 1e-3, "tau": 8}, {"lr": 2e-3, "tau": 8}]
    longer = write(tmp_path / "longer.toml", HIST, enqueue=queue)
    text = refused(storage, longer, spaces[1], "--trials", "1")
    assert text.startswith("by-hist: found 2 enqueued configurations in a budget of 1 trial")
    text = refused(storage, *spaces, "--trials", "0")
    assert len(text.splitlines()) == 2


def test_the_images_are_told_once(storage: Storage, spaces: list[str], data_dir: Path) -> None:
    done = compare(storage, *spaces, "--data", str(data_dir))
    assert done.stdout.count(f"images in {data_dir}: training ") == 1


def test_a_selection_on_test_classes_is_warned_of(storage: Storage, tmp_path: Path) -> None:
    protocol = {"validation": "test"}
    paths = [
        write(tmp_path / f"{table['name']}.toml", table, protocol=protocol)
        for table in (HIST, PROXY_ANCHOR)
    ]
    assert "warning: these studies select on the TEST CLASSES" in compare(storage, *paths).stderr
