import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from histsearch.exceptions import SpaceError
from histsearch.extensions import ExtensionPoint, Provider


@dataclass(frozen=True)
class Thing:
    name: str


POINT = ExtensionPoint("tests.things", "thing", Thing, {"own"})

MODULE = """
from tests.unit.test_extensions import Thing

GOOD = Thing("good")
OTHER = Thing("other")
TEXT = "good"
"""


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "acme_things.py").write_text(MODULE)
    (tmp_path / "acme_broken.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_things", raising=False)
    return tmp_path


def install(site: Path, package: str, **things: str) -> None:
    """What pip leaves of a package, next to its modules."""
    folder = site / f"{package}-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    lines = [f"{name} = {target}" for name, target in things.items()]
    (folder / "entry_points.txt").write_text("\n".join(["[tests.things]", *lines]))


def test_a_package_adds_a_thing_under_its_name(site: Path) -> None:
    assert POINT.load("good") is None
    assert POINT.provider("good") is None
    install(site, "acme", good="acme_things:GOOD")
    assert POINT.load("good") == Thing("good")
    assert POINT.names() == ("good",)
    assert POINT.provider("good") == Provider('the thing "good"', "acme", "1.2", '"acme==1.2"')


def test_the_provider_is_found_without_importing_the_package(site: Path) -> None:
    install(site, "acme", good="acme_things:GOOD")
    assert POINT.provider("good")
    assert "acme_things" not in sys.modules


def test_a_package_that_is_missing_is_named(site: Path) -> None:
    provider = Provider('the thing "good"', "acme", "1.2", '"acme==1.2"')
    with pytest.raises(SpaceError) as refusal:
        provider.check()
    assert str(refusal.value) == (
        'found the thing "good", which needs acme 1.2; pip install "acme==1.2"'
    )
    install(site, "acme")
    provider.check()


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("acme_broken:GOOD", "can't be loaded (RuntimeError: no licence); mend or uninstall it"),
        ("acme_nowhere:GOOD", "can't be loaded (ModuleNotFoundError: No module named 'acme_now"),
        ("acme_things:BAD", "can't be loaded (AttributeError: module 'acme_things' has no"),
        ("acme_things:TEXT", "leads to a str, allowed: a Thing"),
        ("acme_things:OTHER", 'is called "other" itself, allowed: one name for both'),
    ],
)
def test_a_broken_package_is_named_in_one_sentence(site: Path, target: str, fault: str) -> None:
    install(site, "acme", good=target)
    with pytest.raises(SpaceError) as refusal:
        POINT.load("good")
    assert str(refusal.value).startswith(
        f'found the thing "good" of the package acme 1.2, which {fault}'
    )


def test_a_name_of_histsearch_itself_is_refused(site: Path) -> None:
    install(site, "acme", good="acme_things:GOOD", own="acme_things:OTHER")
    with pytest.raises(SpaceError, match=r'the thing "own" of the package acme 1.2'):
        POINT.load("good")


def test_a_name_that_two_packages_add_is_refused(site: Path) -> None:
    install(site, "acme", good="acme_things:GOOD")
    install(site, "bolt", good="acme_things:GOOD", other="acme_things:OTHER")
    with pytest.raises(SpaceError, match=r"in acme 1\.2 and in bolt 1\.2, allowed: one"):
        POINT.load("good")
    assert POINT.load("other") == Thing("other")
