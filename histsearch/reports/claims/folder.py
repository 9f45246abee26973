"""The folder of spaces that a claims' report reads or runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from histsearch.exceptions import SpaceError
from histsearch.reports.claims.grid_files import GRID_FILES, GridFile
from histsearch.retrieval.known_metrics import recall_at
from histsearch.space.parameters import Range
from histsearch.space.reading import builtin_spaces, load_space
from histsearch.space.refusals import show
from histsearch.space.space import Space

_SCORE = 'validation = "test" and the objective R@1, which the rules of the claims are for'


@dataclass(frozen=True)
class ClaimsFolder:
    """The spaces of a folder that belong to claims, to a figure or to a table.

    Attributes:
        name: The folder as it was given.
        spaces: The spaces by their files' names without suffix, in the order of `GRID_FILES`.
    """

    name: str
    spaces: Mapping[str, Space]


def read_claims_folder(name: str) -> ClaimsFolder:
    """Read the spaces of a folder, by name one that comes with histsearch, else a path.

    A folder may hold some of them; files of other names are passed over.

    Raises:
        SpaceError: There is no such folder or no such file in it, or spaces can't be used: one
            line for each fault of all files.
    """
    sources = _sources(name)
    if not sources:
        raise SpaceError(
            f"found no folder {show(name)} with a space of a claim, allowed: claims, claims/small "
            f"or a folder with files such as {next(iter(GRID_FILES))}.toml"
        )
    spaces: dict[str, Space] = {}
    faults: list[str] = []
    for stem, source in sources.items():
        try:
            spaces[stem] = load_space(source)
        except SpaceError as error:
            faults += error.lines
            continue
        faults += _misfits(source, spaces[stem], GRID_FILES[stem])
    faults += _shared_names(spaces)
    if faults:
        raise SpaceError(*faults)
    return ClaimsFolder(name, spaces)


def _sources(name: str) -> dict[str, str]:
    plain = name.rstrip("/")
    builtin = builtin_spaces()
    known = {stem: f"{plain}/{stem}" for stem in GRID_FILES}
    found = {stem: source for stem, source in known.items() if source in builtin}
    if found:
        return found
    files = {stem: Path(name) / f"{stem}.toml" for stem in GRID_FILES}
    try:
        return {stem: str(path) for stem, path in files.items() if path.is_file()}
    except OSError as error:
        raise SpaceError(f"can't read the folder {show(name)} ({error.strerror})") from error


def _misfits(source: str, space: Space, file: GridFile) -> list[str]:
    """Why a space can't be what its file's name says."""
    wanted = f"a grid over lists of {' and '.join(file.parameters)}, as {file.place} has it"
    if not space.sampler.enumerates:
        return [f'{source}: found the sampler "{space.sampler.name}", allowed: {wanted}']
    if space.search.keys() != set(file.parameters):
        return [f"{source}: found a search over {', '.join(space.search)}, allowed: {wanted}"]
    if space.protocol.validation != "test" or space.protocol.metric.name != recall_at(1).name:
        return [f"{source}: found [protocol] with another score, allowed: {_SCORE}"]
    if any(isinstance(one, Range) for one in space.search.values()):
        return [f"{source}: found a range, allowed: {wanted}"]
    return []


def _shared_names(spaces: Mapping[str, Space]) -> list[str]:
    names = [space.name for space in spaces.values()]
    shared = sorted({name for name in names if names.count(name) > 1})
    return [f'found the name "{name}" in several spaces; give each its own' for name in shared]
