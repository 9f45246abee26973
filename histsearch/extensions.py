"""What other installed packages add to histsearch, found by their entry points."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Generic, TypeVar

from histsearch.exceptions import SpaceError

Record = TypeVar("Record")


@dataclass(frozen=True)
class Provider:
    """The package that a loss, a data set or a backbone comes from.

    Attributes:
        provides: What comes from it, such as ``the loss "acme"``.
        package: Its name.
        version: Its version; None for any.
        install: What ``pip install`` is told to get it.
    """

    provides: str
    package: str
    version: str | None
    install: str

    def check(self) -> None:
        """Make sure that the package is installed, in whatever version.

        Raises:
            SpaceError: It isn't.
        """
        if installed_version(self.package) is None:
            raise self.missing()

    def missing(self) -> SpaceError:
        """The error that says that the package isn't installed."""
        needed = self.package if self.version is None else f"{self.package} {self.version}"
        return SpaceError(
            f"found {self.provides}, which needs {needed}; pip install {self.install}"
        )


def installed_version(package: str) -> str | None:
    """The version of a package that is installed; None where it isn't."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True)
class ExtensionPoint(Generic[Record]):
    """One kind of things that packages may add, each by an entry point of its name.

    Attributes:
        group: The group of entry points.
        noun: The word for one of them.
        record: What an entry point leads to; its attribute ``name`` is the entry point's.
        built_in: The names of histsearch's own, which no package may take.
    """

    group: str
    noun: str
    record: type[Record]
    built_in: Collection[str]

    def names(self) -> tuple[str, ...]:
        """The names that installed packages add."""
        return tuple(sorted({one.name for one in entry_points(group=self.group)}))

    def provider(self, name: str) -> Provider | None:
        """The package that adds ``name``; None where none does.

        Raises:
            SpaceError: Several do, or one takes a name of histsearch's own.
        """
        found = self._find(name)
        if found is None or found.dist is None:
            return None
        package, its_version = found.dist.name, found.dist.version
        return Provider(
            f'the {self.noun} "{name}"', package, its_version, f'"{package}=={its_version}"'
        )

    def load(self, name: str) -> Record | None:
        """What installed packages add under ``name``; None where none does.

        Raises:
            SpaceError: Several do, one takes a name of histsearch's own, or the package is broken.
        """
        found = self._find(name)
        if found is None:
            return None
        fault = f'found the {self.noun} "{name}" of the package {_package(found)}, which'
        try:
            record = found.load()
        # Importing it runs the package's own code.
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise SpaceError(f"{fault} can't be loaded ({reason}); mend or uninstall it") from error
        if not isinstance(record, self.record):
            raise SpaceError(
                f"{fault} leads to a {type(record).__name__}, allowed: a {self.record.__name__}"
            )
        own_name = getattr(record, "name", None)
        if own_name != name:
            raise SpaceError(f'{fault} is called "{own_name}" itself, allowed: one name for both')
        return record

    def _find(self, name: str) -> EntryPoint | None:
        every = entry_points(group=self.group)
        for one in every:
            if one.name in self.built_in:
                raise SpaceError(
                    f'found the {self.noun} "{one.name}" of the package {_package(one)}, allowed: '
                    "a name that histsearch doesn't use itself; uninstall the package"
                )
        # A package that is installed twice, as from a checkout, is one.
        found = {_package(one): one for one in every if one.name == name}
        if len(found) > 1:
            raise SpaceError(
                f'found the {self.noun} "{name}" in {" and in ".join(sorted(found))}, allowed: one '
                "package that adds it; uninstall the others"
            )
        return next(iter(found.values()), None)


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
