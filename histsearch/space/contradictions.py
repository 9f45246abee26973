"""What can't stand together in a space, each part being valid by itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from histsearch.losses.loss_record import LossRecord
from histsearch.models.initial_weights import PRETRAINED_WEIGHTS
from histsearch.models.known_backbones import BACKBONES, starts_pretrained
from histsearch.space.baselines import Baseline, parse_baseline
from histsearch.space.checks import configuration_faults, unknown_name
from histsearch.space.configuration import Value, own_name
from histsearch.space.image_sizes import baseline_size_faults, image_size_faults
from histsearch.space.known_parameters import KnownParameters, known_parameters
from histsearch.space.parameters import Parameter, Range
from histsearch.space.refusals import RefusedError, refused, show
from histsearch.space.strategies import PRUNERS, SAMPLERS

_SAME_FRACTION = 0.005  # 0.33 is meant as a third


@dataclass(frozen=True)
class Draft:
    """A space while it is checked.

    Attributes:
        given: What the space says, key by key.
        parts: What is valid of it, key by key, or a default. Of [search] and [fixed] the entries
            that are valid; of [[enqueue]] each entry that is a table, of [[baseline]] each that is
            valid, None for another.
        is_new: Whether its loss, data set and backbone have to be known here; those of a study may
            be known to other machines.
        loss: Its loss where that isn't histsearch's own and was looked up.
    """

    given: Mapping[str, Any]
    parts: dict[str, Any] = field(default_factory=dict)
    is_new: bool = True
    loss: LossRecord[Any, Any] | None = None

    def knows(self, *keys: str) -> bool:
        """Whether these parts are valid."""
        return all(key in self.parts for key in keys)

    @property
    def known(self) -> KnownParameters:
        """The parameters of its loss, which is valid."""
        if self.loss is not None:
            return known_parameters(self.loss.parameters)
        known: KnownParameters = self.parts["loss"].parameters
        return known

    def is_whole(self, table: str) -> bool:
        """Whether every entry of a table is valid."""
        return self.names(table) == set(self.parts.get(table, {}))

    def names(self, table: str) -> set[str]:
        """The names that a table gives."""
        entries = self.given.get(table, {})
        return set(entries) if isinstance(entries, Mapping) else set()


def contradictions(draft: Draft) -> Iterator[RefusedError]:
    """Each fault between the valid parts of a space; none that only follows from another fault."""
    yield from _named_twice(draft)
    yield from _missing_weights(draft)
    yield from _image_size_faults(draft)
    yield from _sampler_faults(draft)
    yield from _pruner_faults(draft)
    if draft.knows("sampler", "search") and draft.parts["sampler"].enumerates:
        trials = draft.parts.get("trials") if draft.is_whole("search") else None
        folds = draft.parts["protocol"].folds if draft.knows("protocol") else None
        yield from grid_faults(
            draft.parts["search"],
            trials if folds else None,
            folds=folds or 1,
            seeds=draft.parts["sampler"].seeds,
        )
    yield from _fold_faults(draft)
    yield from _enqueue_faults(draft)
    yield from _baseline_faults(draft)
    yield from _part_classes(draft)
    yield from _missing_values(draft)
    yield from _lone_images(draft)


def _named_twice(draft: Draft) -> Iterator[RefusedError]:
    for name in draft.given.get("fixed", {}) if draft.knows("fixed") else ():
        if name in draft.names("search"):
            yield refused(
                f"fixed.{name}",
                show(draft.given["fixed"][name]),
                "each parameter in [search] or [fixed] once",
            )


def _missing_weights(draft: Draft) -> Iterator[RefusedError]:
    if not draft.is_new or not draft.knows("backbone", "weights"):
        return
    backbone = draft.parts["backbone"]
    if draft.parts["weights"] == PRETRAINED_WEIGHTS and not starts_pretrained(backbone):
        yield refused(
            "weights",
            '"pretrained"',
            f'"none" or a weights file, as there are none for {backbone}',
        )


def _image_size_faults(draft: Draft) -> Iterator[RefusedError]:
    """Sizes that a backbone can't take, if it isn't timm's, which may be missing here."""
    backbone = BACKBONES.get(draft.parts.get("backbone", ""))
    if backbone is not None:
        yield from image_size_faults(
            draft.parts.get("search", {}), draft.parts.get("fixed", {}), backbone
        )
        yield from baseline_size_faults(draft.parts.get("baseline", ()), backbone)


def _sampler_faults(draft: Draft) -> Iterator[RefusedError]:
    """What doesn't go with the sampler."""
    if not draft.knows("sampler"):
        return
    sampler = draft.parts["sampler"]
    decided = draft.parts.get("decided")
    if decided is not None and not sampler.decides:
        deciding = " or ".join(f'"{name}"' for name, one in SAMPLERS.items() if one.decides)
        yield refused(
            "decided",
            show(decided.model_dump()),
            f'with the sampler {deciding} alone, not "{sampler.name}"',
        )
    if not draft.knows("pruner"):
        return
    pruner = draft.parts["pruner"]
    if sampler.enumerates and pruner.stops_trials:
        yield refused("pruner", show(pruner.name), '"none", as the sampler is a grid')
    elif pruner.pauses and not sampler.resumes:
        yield refused(
            "pruner", show(pruner.name), f'another pruner, as the sampler is "{sampler.name}"'
        )


def _pruner_faults(draft: Draft) -> Iterator[RefusedError]:
    if not draft.knows("pruner", "epochs"):
        return
    fewest = getattr(draft.parts["pruner"], "min_epochs", None) or 1
    epochs = draft.parts["epochs"]
    if fewest > epochs:
        yield refused(
            "pruner.min_epochs", show(fewest), f"a whole number from 1 to epochs, {epochs}"
        )


def _fold_faults(draft: Draft) -> Iterator[RefusedError]:
    """What doesn't go with several folds."""
    if not draft.knows("protocol") or draft.parts["protocol"].folds == 1:
        return
    protocol = draft.parts["protocol"]
    folds = protocol.folds
    if protocol.validation == "test":
        yield refused("protocol.folds", show(folds), "1, as the test classes validate")
        return
    fraction = protocol.validation_fraction
    if abs(fraction - 1 / folds) > _SAME_FRACTION:
        yield refused(
            "protocol.validation_fraction",
            show(fraction),
            f"{1 / folds:.2g} with {folds} folds, or left out",
        )
    for kind, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        if draft.knows(kind) and not draft.parts[kind].heeds_folds:
            able = " or ".join(f'"{name}"' for name, one in known.items() if one.heeds_folds)
            name = draft.parts[kind].name
            yield refused(
                "protocol.folds",
                show(folds),
                f'1 with the {kind} "{name}", which compares trials of different folds; or {able}',
            )
            return


def grid_faults(
    search: Mapping[str, Parameter], trials: int | None, *, folds: int, seeds: int
) -> Iterator[RefusedError]:
    """Why a space can't be sampled as a grid by so many trials (None: unknown)."""
    points = folds * seeds
    ranges = False
    for name, parameter in search.items():
        if isinstance(parameter, Range):
            ranges = True
            yield refused(f"search.{name}", str(parameter), "a list, as the sampler is a grid")
        else:
            points *= len(parameter)
    if not ranges and trials is not None and trials > points:
        each = "the points of the grid" + ("" if folds == 1 else f" on each of {folds} folds")
        each += "" if seeds == 1 else f" with each of {seeds} seeds"
        yield refused("trials", str(trials), f"at most {points}, {each}")


def _enqueue_faults(draft: Draft) -> Iterator[RefusedError]:
    if not draft.knows("loss"):
        return
    search = draft.parts.get("search", {})
    for number, configuration in enumerate(draft.parts.get("enqueue", ())):
        key = f"enqueue[{number}]"
        if configuration is None:
            continue
        if draft.knows("search") and draft.is_whole("search"):
            yield from configuration_faults(key, search, configuration, draft.known)
            continue
        # A name that isn't searched may be one that [search] misspells.
        for name, value in configuration.items():
            if name in search:
                yield from configuration_faults(key, search, {name: value}, draft.known)
            elif not draft.known.has(name):
                yield unknown_name(key, name, draft.known)


def _baseline_faults(draft: Draft) -> Iterator[RefusedError]:
    """What of a baseline can't stand together, or is missing; images have been looked at."""
    if not (draft.knows("loss", "fixed") and draft.is_whole("fixed")):
        return
    for number, table in enumerate(draft.parts.get("baseline", ())):
        if table is None:
            continue
        values = {**draft.parts["fixed"], **parse_baseline(table).values}
        missing = [name for name in draft.known.required if name not in values]
        for name in missing:
            allowed = f"{draft.known.allowed_values(name)}; it has no default"
            yield refused(f"baseline[{number}].{name}", "nothing", allowed)
        yield from _without_value_elsewhere(draft, f"baseline[{number}]", parse_baseline(table))
        if not missing:
            yield from _clash(draft, f"baseline[{number}]", values)


def _without_value_elsewhere(draft: Draft, key: str, baseline: Baseline) -> Iterator[RefusedError]:
    """Parameters of the loss that a baseline alone would have."""
    known = {*draft.known.defaults, *draft.known.required, *draft.names("fixed")}
    for name, value in baseline.values.items():
        if own_name(name) is not None and name not in known | draft.names("search"):
            allowed = "parameters with a default, or with a value under [search] or [fixed]"
            yield refused(f"{key}.{name}", show(value), allowed)


def _clash(draft: Draft, key: str, values: Mapping[str, Value]) -> Iterator[RefusedError]:
    """Why a run can't have these values together."""
    try:
        completed = draft.known.complete(values)
    except ValidationError as error:
        yield refused(key, show(values), f"values that go together, but {reason_of_clash(error)}")
        return
    if draft.loss is not None:
        for fault in lone_images_faults(draft.loss, completed.training.images_per_class):
            yield RefusedError(*(f"{key}.{line}" for line in fault.lines))


def reason_of_clash(error: ValidationError) -> str:
    """Why valid values can't stand together."""
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")


def _part_classes(draft: Draft) -> Iterator[RefusedError]:
    """Numbers of images a class that fill no batch with whole classes."""
    if not draft.knows("loss", "search", "fixed"):
        return
    if not (draft.is_whole("search") and draft.is_whole("fixed")):
        return
    parameter = draft.parts["search"].get("batch_size")
    for images_per_class in _possible(draft, "images_per_class"):
        sizes = _possible(draft, "batch_size")
        if isinstance(parameter, Range):
            # When these two hold whole classes, so does every other size of the range.
            sizes = iter((int(parameter.low), int(parameter.low + (parameter.step or 1))))
        for batch_size in sizes:
            if images_per_class and batch_size % images_per_class:
                yield refused(
                    "images_per_class",
                    f"{images_per_class} with batch_size {batch_size}",
                    draft.known.allowed_values("images_per_class"),
                )
                return


def _missing_values(draft: Draft) -> Iterator[RefusedError]:
    if not draft.knows("loss", "search", "fixed"):
        return
    for name in draft.known.required:
        if name not in draft.names("search") | draft.names("fixed"):
            yield refused(
                f"fixed.{name}", "nothing", f"{draft.known.allowed_values(name)}; it has no default"
            )


def _lone_images(draft: Draft) -> Iterator[RefusedError]:
    """Batches in which a loss that compares images of one class may find one of each."""
    if draft.loss is None or not draft.knows("search", "fixed"):
        return
    yield from lone_images_faults(draft.loss, min(_possible(draft, "images_per_class")))


def lone_images_faults(loss: LossRecord[Any, Any], images_per_class: int) -> Iterator[RefusedError]:
    """Why a loss can't be trained with so many images of each class in a batch."""
    if loss.needs_positives and images_per_class < 2:
        yield refused(
            "images_per_class",
            str(images_per_class),
            f'at least 2, as the loss "{loss.name}" compares images of one class',
        )


def _possible(draft: Draft, name: str) -> Iterator[int]:
    parameter = draft.parts["search"].get(name)
    if isinstance(parameter, Range):
        yield from range(int(parameter.low), int(parameter.high) + 1, int(parameter.step or 1))
    elif parameter is not None:
        yield from (int(value) for value in parameter)
    else:
        yield int(draft.parts["fixed"].get(name, draft.known.defaults[name]))
