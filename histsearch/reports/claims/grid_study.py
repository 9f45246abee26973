"""The study of a grid as a claims' report shows it, or why there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from histsearch.reports.claims.grid_files import GridFile
from histsearch.reports.claims.grid_scores import GridScores, grid_scores
from histsearch.reports.cost import Cost, cost
from histsearch.space.trained_space import TrainedSpace
from histsearch.studies import trial_record
from histsearch.studies.study import Study

_PROVENANCE = (
    trial_record.WEIGHTS,
    trial_record.DEVICE,
    trial_record.VERSIONS,
    trial_record.COMMIT,
)


@dataclass(frozen=True)
class GridStudy:
    """The study of a grid.

    Attributes:
        file: The file that it belongs to.
        space: Its space.
        study: The study.
        scores: Its runs by point.
        cost: What all its trials took.
        provenance: What its finished trials say of weights, devices and software, each distinct
            answer once.
    """

    file: GridFile
    space: TrainedSpace
    study: Study
    scores: GridScores
    cost: Cost
    provenance: Mapping[str, Sequence[Any]]

    @property
    def name(self) -> str:
        """Its name."""
        return self.study.name


def grid_study(study: Study, file: GridFile) -> GridStudy:
    """What a claims' report shows of a study."""
    space, trials = study.definition.space, study.trials()
    return GridStudy(
        file,
        space,
        study,
        grid_scores(study, file.parameters),
        cost(trials, space.epochs),
        _provenance(trials),
    )


def _provenance(trials: Sequence[FrozenTrial]) -> dict[str, list[Any]]:
    finished = [trial for trial in trials if trial.state.is_finished()]
    answers = {key: [one.user_attrs.get(key) for one in finished] for key in _PROVENANCE}
    return {key: list({repr(one): one for one in found}.values()) for key, found in answers.items()}
