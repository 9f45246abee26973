"""What a study is: kept in its user attributes, so that a worker needs the database alone."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from optuna.distributions import BaseDistribution, IntDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema, TypeAdapter, model_validator
from typing_extensions import override

import histsearch
from histsearch.data.hold_out import HoldOut
from histsearch.exceptions import SpaceError, StudyError
from histsearch.extensions import Provider
from histsearch.freeze_thaw.actions import Schedule
from histsearch.search.distributions import optuna_distributions
from histsearch.search.freeze_thaw_trials import TrialReader, fold_of
from histsearch.search.pruner import build_pruner
from histsearch.search.queued_only import QueuedOnlySampler
from histsearch.search.sampler import build_sampler
from histsearch.space.configuration import Value
from histsearch.space.refusals import show
from histsearch.space.space import Decided, Space
from histsearch.space.strategies import GridSettings, NoPrunerSettings, RandomSettings
from histsearch.space.trained_space import TrainedSpace
from histsearch.studies.trial_record import EPOCHS, FOLD, ROLE, SEED

HELD_OUT_SELECTION = "validation classes held out of the training half"
TEST_SELECTION = "TEST CLASSES (the paper's protocol): its scores are not a fair estimate"
RETRAIN_SELECTION = "none: trained on the full training half, tested once at the end"

_ANY_SEED = IntDistribution(0, 2**33 - 1)
"""Of every retraining, so that seeds can be added; a search's own end at 2**32 - 1 + trials."""

_OF_A_RUN = {ROLE, EPOCHS}


def new_key() -> str:
    """A key for a new study."""
    return secrets.token_hex(4)


def _release_line(version: str) -> str:
    parts = version.split(".")
    return ".".join(parts[:2]) if parts[0] == "0" else parts[0]


class Limits(NamedTuple):
    """What ends a search beside its budget of trials.

    Attributes:
        gpu_hours: Hours that its trials may take together; None for no limit.
        decided: The rule for its winner; None for none.
    """

    gpu_hours: float | None
    decided: Decided | None

    def to_json(self) -> dict[str, Any]:
        """As it is kept with a study."""
        decided = None if self.decided is None else self.decided.model_dump()
        return {"gpu_hours": self.gpu_hours, "decided": decided}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """As `to_json` wrote it."""
        decided = kept["decided"]
        return cls(kept["gpu_hours"], None if decided is None else Decided(**decided))


class _Definition(BaseModel, ABC):
    """The unchanging part of a study, and what follows from it.

    Attributes:
        kind: Which of the two it is.
        version: The histsearch that created the study.
        key: Tells it from every other study of that name, earlier ones and those elsewhere.
        providers: The packages besides histsearch that its loss, data set and backbone come from,
            as they were when it was created.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: ClassVar[bool] = False
    """Whether new trials are begun while the budget allows, beside those that are queued."""

    selects: ClassVar[bool] = False
    """Whether its trials compete to be its winner."""

    kind: Literal["search", "retrain"]
    version: str
    key: str = ""
    providers: tuple[Provider, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _without_seeds(cls, kept: Any) -> Any:
        """Read studies whose definition has a number of seeds, before these could be added."""
        if not isinstance(kept, dict):
            return kept
        return {name: value for name, value in kept.items() if name != "seeds"}

    def check_version(self, name: str) -> None:
        """Make sure that this histsearch may run the study's trials.

        A version trains as another of the same release line does: the first two numbers while
        the major one is 0, the first alone from then on.

        Args:
            name: The study's name, for the message.

        Raises:
            StudyError: The study belongs to another release line.
        """
        theirs, ours = (_release_line(one) for one in (self.version, histsearch.__version__))
        if theirs != ours:
            raise StudyError(
                f'found "{name}", a study of histsearch {self.version}, whose trials would not be '
                f"comparable with those of {histsearch.__version__}; run its workers with "
                f"histsearch {theirs}.x, or create a study anew"
            )

    @property
    def packages(self) -> tuple[str, ...]:
        """The names of the packages that it needs besides histsearch."""
        return tuple(provider.package for provider in self.providers)

    def check_providers(self) -> None:
        """Make sure that the packages that it needs are installed here.

        Raises:
            SpaceError: One isn't.
        """
        for provider in self.providers:
            provider.check()

    @abstractmethod
    def distributions(self) -> dict[str, BaseDistribution]:
        """The parameters of its trials."""

    @abstractmethod
    def sampler(self, seed: int, reader: TrialReader | None = None) -> BaseSampler:
        """What sets the parameters that a trial was queued without."""

    @abstractmethod
    def pruner(
        self, may_start: Callable[[], bool], reader: TrialReader | None = None
    ) -> BasePruner:
        """What stops a trial early; it may ask whether a new one could be started now."""

    @abstractmethod
    def seed_of(self, trial: FrozenTrial) -> int:
        """The seed of everything random in a trial."""

    @abstractmethod
    def misfit(self, trial: FrozenTrial) -> str | None:
        """Why a waiting trial, which anybody may have queued, can't be run; None where it can."""

    @property
    @abstractmethod
    def selection(self) -> str:
        """On which classes it selects a winner, in words."""

    @property
    def touches_test_classes(self) -> bool:
        """Whether it selects on the test classes, as the paper did."""
        return False

    @property
    def hold_out(self) -> HoldOut | None:
        """The classes of the training half that validate; None for none."""
        return None

    @property
    def enumerates(self) -> bool:
        """Whether its trials go through a grid."""
        return False

    @property
    def grid_seeds(self) -> range:
        """The seeds that each point of its grid is trained with; one where it has no grid."""
        return range(1)

    def has_grid_seed(self, trial: FrozenTrial) -> bool:
        """Whether a trial carries one of `grid_seeds`; anybody may have queued it."""
        seed = trial.user_attrs.get(SEED)
        # A switch is a whole number to Python.
        return type(seed) is int and seed in self.grid_seeds

    @property
    def folds(self) -> int:
        """How many folds its trials validate on, one each."""
        hold_out = self.hold_out
        return 1 if hold_out is None else hold_out.folds

    @property
    def repeats(self) -> bool:
        """Whether each configuration is to have several trials, so that no single value decides."""
        return self.folds > 1 or len(self.grid_seeds) > 1

    @property
    def limits(self) -> Limits:
        """What ends it beside its budget, unless that was changed since."""
        return Limits(gpu_hours=None, decided=None)

    @property
    def decides(self) -> bool:
        """Whether a model of its learning curves says which trial wins, not the highest value."""
        return False

    @property
    def pauses(self) -> bool:
        """Whether its trials are paused, to be gone on with when they promise more."""
        return False

    @property
    def fewest_epochs(self) -> int:
        """For how many epochs a trial runs at least before its pruner may leave it."""
        return 1

    @property
    def min_epochs(self) -> int | None:
        """How long a trial runs at least before it is paused; None for the usual."""
        return None


class SearchDefinition(_Definition):
    """A search.

    Attributes:
        space: What it searches, and how.
        source: None, as it retrains nothing.
    """

    samples = True
    selects = True

    kind: Literal["search"] = "search"
    space: Space
    source: None = None

    @override
    def distributions(self) -> dict[str, BaseDistribution]:
        """The searched parameters."""
        return optuna_distributions(self.space)

    @override
    def sampler(self, seed: int, reader: TrialReader | None = None) -> BaseSampler:
        """What its space asks for."""
        return build_sampler(self.space, seed, reader)

    @override
    def pruner(
        self, may_start: Callable[[], bool], reader: TrialReader | None = None
    ) -> BasePruner:
        """What its space asks for."""
        return build_pruner(self.space, may_start, reader)

    @override
    def seed_of(self, trial: FrozenTrial) -> int:
        """One for each trial; the points of a grid share theirs, and differ in values alone."""
        if not self.enumerates:
            return self.space.protocol.seed + trial.number
        seeds = self.grid_seeds
        return int(trial.user_attrs[SEED]) if len(seeds) > 1 else seeds[0]

    @override
    def misfit(self, trial: FrozenTrial) -> str | None:
        """Which of its values the space doesn't allow; names it doesn't search are passed over."""
        if FOLD in trial.user_attrs and fold_of(trial, self.folds) is None:
            found = show(trial.user_attrs[FOLD])
            return f"queued from outside: found the fold {found}, allowed: 0 to {self.folds - 1}"
        seeds = self.grid_seeds
        if len(seeds) > 1 and SEED in trial.user_attrs and not self.has_grid_seed(trial):
            found = show(trial.user_attrs[SEED])
            return (
                f"queued from outside: found the seed {found}, allowed: {seeds[0]} to {seeds[-1]}"
            )
        given = trial.system_attrs.get("fixed_params", {})
        to_be_set = self.space.search.keys() - trial.params.keys()
        values = {name: value for name, value in given.items() if name in to_be_set}
        try:
            if values:
                self.space.check_configuration(values)
        except SpaceError as error:
            return f"queued from outside: {error}"
        return None

    @property
    @override
    def selection(self) -> str:
        """The classes that validate."""
        return TEST_SELECTION if self.touches_test_classes else HELD_OUT_SELECTION

    @property
    @override
    def touches_test_classes(self) -> bool:
        """Whether its protocol validates on them."""
        return self.space.protocol.validation == "test"

    @property
    @override
    def hold_out(self) -> HoldOut | None:
        """Its protocol's."""
        return self.space.protocol.hold_out

    @property
    @override
    def enumerates(self) -> bool:
        """Whether its sampler does."""
        return self.space.sampler.enumerates

    @property
    @override
    def grid_seeds(self) -> range:
        """From its protocol's on, as many as its sampler's grid has."""
        first, sampler = self.space.protocol.seed, self.space.sampler
        return range(first, first + (sampler.seeds if isinstance(sampler, GridSettings) else 1))

    @property
    @override
    def limits(self) -> Limits:
        """Its space's."""
        return Limits(self.space.gpu_hours, self.space.decided)

    @property
    @override
    def decides(self) -> bool:
        """Whether its sampler does."""
        return self.space.sampler.decides

    @property
    @override
    def pauses(self) -> bool:
        """Whether its pruner does."""
        return self.space.pruner.pauses

    @property
    @override
    def fewest_epochs(self) -> int:
        """As its pruner has it; where that leaves none, all of them."""
        if self.pauses:
            return Schedule.of(self.space.epochs, self.space.min_epochs).min_epochs
        return 1 if self.space.pruner.stops_trials else self.space.epochs

    @property
    @override
    def min_epochs(self) -> int | None:
        """Its space's."""
        return self.space.min_epochs


# It is kept as a whole space; these are the parts that a retraining has no use for.
_KeptSpace = Annotated[TrainedSpace, GetPydanticSchema(lambda _, handler: handler(Space))]
_UNUSED = {
    "sampler": RandomSettings(),
    "pruner": NoPrunerSettings(),
    "gpu_hours": None,
    "decided": None,
    "enqueue": (),
    "baseline": (),
}


class RetrainDefinition(_Definition):
    """A retraining: chosen configurations on the full training half, several seeds of each.

    Attributes:
        space: What it trains: of the searched parameters, and of others in which baselines differ,
            the chosen values alone.
        source: The search that the configurations come from.
    """

    kind: Literal["retrain"] = "retrain"
    space: _KeptSpace
    source: str

    @classmethod
    def of(
        cls, source: str, search: SearchDefinition, chosen: Mapping[str, tuple[Value, ...]]
    ) -> Self:
        """A new one.

        Args:
            source: The search's name.
            search: The search.
            chosen: The chosen values of each parameter that differs between its trials, of the
                searched ones at least.
        """
        fixed = {name: one for name, one in search.space.fixed.items() if name not in chosen}
        return cls(
            version=histsearch.__version__,
            key=new_key(),
            providers=search.providers,
            space=search.space.model_copy(
                update={"search": dict(chosen), "fixed": fixed, **_UNUSED}
            ),
            source=source,
        )

    @override
    def distributions(self) -> dict[str, BaseDistribution]:
        """The searched parameters, and the seed."""
        return {**optuna_distributions(self.space), SEED: _ANY_SEED}

    @override
    def sampler(self, seed: int, reader: TrialReader | None = None) -> BaseSampler:
        """Nothing is left to be set."""
        return QueuedOnlySampler()

    @override
    def pruner(
        self, may_start: Callable[[], bool], reader: TrialReader | None = None
    ) -> BasePruner:
        """Every trial runs to its end."""
        return NopPruner()

    @override
    def seed_of(self, trial: FrozenTrial) -> int:
        """The one it was queued with."""
        return int(trial.params[SEED])

    @override
    def misfit(self, trial: FrozenTrial) -> str | None:
        """Whether anything else than a retraining has queued it."""
        given = trial.system_attrs.get("fixed_params", {})
        whole = self.distributions().keys() <= {*given, *trial.params}
        if whole and trial.user_attrs.keys() >= _OF_A_RUN:
            return None
        return "queued from outside: a retraining runs what histsearch retrain queued alone"

    @property
    @override
    def selection(self) -> str:
        """None of them."""
        return RETRAIN_SELECTION


StudyDefinition = SearchDefinition | RetrainDefinition
_READER: TypeAdapter[StudyDefinition] = TypeAdapter(
    Annotated[StudyDefinition, Field(discriminator="kind")]
)


def read_definition(kept: object) -> StudyDefinition:
    """A definition as its ``model_dump`` wrote it, by this version or an earlier one.

    Raises:
        pydantic.ValidationError: it is none.
    """
    return _READER.validate_python(kept)
