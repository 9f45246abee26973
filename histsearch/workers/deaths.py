"""When a worker on which one trial after the other dies had better leave their study to others."""

from collections import Counter
from collections.abc import Mapping

from histsearch.space.configuration import Value
from histsearch.space.parameters import Parameter, Range
from histsearch.space.trained_space import TrainedSpace

MOST_CONFIGURATIONS = 3
"""So many configurations that die in a row are the machine's fault, if one of them ought to run."""

_MOST_LARGE_ONES = 10  # of which none has the smallest sizes of the study
_MOST_TRIES = 3  # of one trial, which is tried again when nothing else is left

_SIZES = ("batch_size", "image_size")
"""Parameters that nearly all of a run's memory grows with."""


class Deaths:
    """The trials of one study that died on this worker, none having trained an epoch in between.

    Args:
        space: The study's space.
    """

    def __init__(self, space: TrainedSpace) -> None:
        self._space = space
        self._has_trained = False
        self._begin()

    def _begin(self) -> None:
        self._configurations: set[str] = set()
        self._tries: Counter[int] = Counter()
        self._one_ought_to_run = False

    def note_epoch(self) -> None:
        """Note that a trial of the study has trained an epoch here."""
        self._has_trained = True
        self._begin()

    def note_crash(self, configuration: Mapping[str, Value]) -> None:
        """Note that a trial crashed; where others were trained, that is the trial's own matter."""
        if not self._has_trained:
            self._note(configuration)
            self._one_ought_to_run = True

    def note_lack(self, number: int, configuration: Mapping[str, Value]) -> None:
        """Note that a trial went back to the queue for want of something that others have.

        Args:
            number: Its number.
            configuration: Its searched parameters.
        """
        self._note(configuration)
        self._tries[number] += 1
        if self._has_trained or self._is_smallest(configuration):
            self._one_ought_to_run = True

    def _is_smallest(self, configuration: Mapping[str, Value]) -> bool:
        searched = self._space.search
        return all(
            float(configuration[name]) <= _smallest(searched[name])
            for name in _SIZES
            if name in searched
        )

    def _note(self, configuration: Mapping[str, Value]) -> None:
        self._configurations.add(repr(sorted(configuration.items())))

    @property
    def are_too_many(self) -> bool:
        """Whether no trial of the study seems to run here."""
        most = MOST_CONFIGURATIONS if self._one_ought_to_run else _MOST_LARGE_ONES
        tries = max(self._tries.values(), default=0)
        return len(self._configurations) >= most or tries >= _MOST_TRIES

    def __str__(self) -> str:
        count = len(self._configurations)
        if count > 1:
            return f"{count} configurations died here in a row"
        return f"the same configuration died here {max(self._tries.values())} times in a row"


def _smallest(parameter: Parameter) -> float:
    if isinstance(parameter, Range):
        return parameter.low
    return min(float(value) for value in parameter)
