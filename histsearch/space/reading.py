"""Reading a search space from a TOML file, with every fault in it named at once.

The spaces in ``spaces/`` at the repository's root travel inside the wheel and are known by name.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from histsearch.exceptions import SpaceError
from histsearch.losses.known_losses import LOSSES, find_loss
from histsearch.losses.loss_record import LossRecord
from histsearch.models.known_backbones import look_up_backbone
from histsearch.space.contradictions import Draft, contradictions
from histsearch.space.image_sizes import baseline_size_faults, image_size_faults
from histsearch.space.loss_choice import LossChoice
from histsearch.space.loss_trial import loss_faults, self_contained
from histsearch.space.refusals import RefusedError, joined, show
from histsearch.space.space import Decided, Protocol, Space
from histsearch.space.toml_text import read_toml

_MOST_FAULTS = 30


def builtin_spaces() -> dict[str, Path]:
    """The spaces that come with histsearch, by name."""
    package = Path(__file__).parents[1]
    installed, checkout = package / "spaces", package.parent / "spaces"
    folder = installed if installed.is_dir() else checkout
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in sorted(folder.rglob("*.toml"))
    }


def load_space(name_or_path: str) -> Space:
    """Read the space that comes with histsearch under that name, or a TOML file.

    Where timm is installed, its models are looked up, and whether they take images of the sizes
    that the space names. A loss that isn't histsearch's own is looked up and tried; the values of
    its parameters are then all in the space, whatever its defaults become.

    Raises:
        SpaceError: There is no such space or file, or it can't be used.
    """
    path = find_space(name_or_path)
    table = read_toml(path)
    loss, faults = None, []
    try:
        loss = _foreign_loss(table)
    except SpaceError as error:
        faults = [str(error)]
    space = _parse(Draft(given=table, loss=loss), str(path), faults, looks_up=True)
    if loss is None:
        return space
    _raise_all(str(path), [line for fault in loss_faults(space, loss) for line in fault.lines])
    return self_contained(space, loss)


def load_spaces(names_or_paths: Sequence[str]) -> list[Space]:
    """Read spaces, each once; what is asked for may be a folder, as in `find_spaces`.

    Raises:
        SpaceError: One can't be found or used; it names the faults of all.
    """
    paths: dict[Path, None] = {}
    faults: list[str] = []
    for name in names_or_paths:
        try:
            paths |= dict.fromkeys(path.resolve() for path in find_spaces(name))
        except SpaceError as error:
            faults += error.lines
    spaces = []
    for path in paths:
        try:
            spaces.append(load_space(str(path)))
        except SpaceError as error:
            faults += error.lines
    if faults:
        raise SpaceError(*faults)
    return spaces


def find_space(name_or_path: str) -> Path:
    """The file of the space that comes with histsearch under that name, or the file itself.

    Raises:
        SpaceError: There is no such space or file.
    """
    builtin = builtin_spaces()
    path = builtin.get(name_or_path, Path(name_or_path))
    try:
        found = path.is_file()
    except OSError as error:  # a name of thousands of characters, a folder that is closed
        raise SpaceError(f"can't read {path} ({error.strerror}); give another file") from error
    if not found:
        raise SpaceError(
            f'found no space "{name_or_path}"; give the path of a TOML file or one of: '
            + ", ".join(builtin)
        )
    return path


def find_spaces(name_or_path: str) -> list[Path]:
    """The files of a folder's spaces, or of one space.

    Those of its subfolders are left out, and hidden ones, which editors and file servers leave.

    Args:
        name_or_path: A folder, of those that come with histsearch or another, or as `find_space`.

    Raises:
        SpaceError: There is no such folder, space or file, or no TOML file is in the folder.
    """
    name = name_or_path.rstrip("/")
    builtin = builtin_spaces()
    inside = [path for one, path in builtin.items() if name and one.rpartition("/")[0] == name]
    if inside:
        return inside
    try:
        # An empty path would be the current folder.
        if not name_or_path or name_or_path in builtin or not Path(name_or_path).is_dir():
            return [find_space(name_or_path)]
        files = [
            path
            for path in sorted(Path(name_or_path).glob("*.toml"))
            if not path.name.startswith(".")
        ]
    except OSError as error:
        raise SpaceError(
            f"can't read {name_or_path} ({error.strerror}); give another folder"
        ) from error
    if not files:
        raise SpaceError(f'found no TOML file in the folder "{name_or_path}"; give another folder')
    return files


def _backbone_lines(draft: Draft) -> Iterator[str]:
    """What the timm of this machine says of a backbone and its images."""
    if not draft.knows("backbone"):
        return
    try:
        backbone = look_up_backbone(draft.parts["backbone"])
    except SpaceError as error:
        yield f"backbone: {error}"
        return
    if backbone is not None:
        search, fixed = draft.parts.get("search", {}), draft.parts.get("fixed", {})
        baselines = draft.parts.get("baseline", ())
        yield from joined(image_size_faults(search, fixed, backbone)).lines
        yield from joined(baseline_size_faults(baselines, backbone)).lines


def _foreign_loss(table: Mapping[str, Any]) -> LossRecord[Any, Any] | None:
    """The loss of a space where it isn't histsearch's own; None for what isn't a loss's name.

    Raises:
        SpaceError: There is no such loss, or it can't be used here.
    """
    try:
        choice = LossChoice.model_validate(table.get("loss"))
    except ValidationError:
        return None
    if choice.name in LOSSES:
        return None
    loss = _found("loss.name", choice.name, None)
    return loss if choice.miner is None else _found("loss.miner", choice.name, choice.miner)


def _found(key: str, name: str, miner: str | None) -> LossRecord[Any, Any]:
    try:
        return find_loss(name, miner)
    except SpaceError as error:
        raise SpaceError(f"{key}: {error}") from error


def parse_space(table: Mapping[str, Any], *, source: str, is_new: bool = True) -> Space:
    """Validate a space given as a table.

    Args:
        table: The space.
        source: What names it in errors.
        is_new: Whether its loss, data set and backbone have to be known here.

    Raises:
        SpaceError: One line for each key that can't be used.
    """
    return _parse(Draft(given=table, is_new=is_new), source, [], looks_up=False)


def _parse(draft: Draft, source: str, known_faults: list[str], *, looks_up: bool) -> Space:
    faults: list[str] = []
    try:
        space = Space.model_validate(dict(draft.given), context=draft)
    except ValidationError as error:
        faults = [line for problem in error.errors() for line in _explain(dict(problem))]
        _fill_in(draft)
        faults += [line for fault in contradictions(draft) for line in fault.lines]
    if looks_up:
        faults += _backbone_lines(draft)
    _raise_all(source, list(dict.fromkeys([*faults, *known_faults])))
    return space


def _raise_all(source: str, faults: list[str]) -> None:
    if not faults:
        return
    shown = [f"{source}: {line}" for line in faults[:_MOST_FAULTS]]
    if len(faults) > _MOST_FAULTS:
        shown.append(f"{source}: {len(faults) - _MOST_FAULTS:,} more")
    raise SpaceError(*shown)


def _fill_in(draft: Draft) -> None:
    """Give a draft the defaults of keys that were left out."""
    for name, field in Space.model_fields.items():
        if name not in draft.given and not field.is_required() and field.default_factory is None:
            draft.parts[name] = field.default


def _explain(problem: dict[str, Any]) -> tuple[str, ...]:
    if problem["type"] == "default_factory_not_called":
        return ()  # a consequence of another
    location = problem["loc"]
    key = ".".join(str(part) for part in location)
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, RefusedError):
        return cause.lines
    if cause is not None:
        return (f"{key}: {cause}",)
    owner, _, field = key.rpartition(".")
    tables: dict[str, type[BaseModel]] = {
        "protocol": Protocol,
        "decided": Decided,
        "loss": LossChoice,
    }
    fields = tables.get(owner, Space).model_fields
    if problem["type"] == "extra_forbidden":
        return (f"{key}: found an unknown key, allowed: {', '.join(fields)}",)
    name = field if field in fields else str(problem["loc"][0])
    fields = fields if name in fields else Space.model_fields
    allowed = fields[name].description
    found = "nothing" if problem["type"] == "missing" else show(problem["input"])
    return (f"{key}: found {found}, allowed: {allowed}",)
