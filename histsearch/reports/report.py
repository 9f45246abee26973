"""What a report says, as data: the contents of ``report.json``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from histsearch.data.census import Census
from histsearch.reports.cost import Cost
from histsearch.reports.statistics import Estimate
from histsearch.studies.trial_models import RetrainedModel


@dataclass(frozen=True)
class WinningTrial:
    """The search's winner on the classes it was selected on.

    Attributes:
        number: A completed trial of the winning configuration.
        parameters: That configuration.
        recall_at_1: The trial's best R@1, in [0, 1].
        epoch: When that was; None if it reported no epoch.
        trials: How many trials of the configuration are complete.
        mean_recall_at_1: The mean of what `recall_at_1` is, over these; over folds, where these
            are of several.
        fold: The fold it was validated on, from 0 on; None where there is one.
    """

    number: int
    parameters: dict[str, Any]
    recall_at_1: float
    epoch: int | None
    trials: int
    mean_recall_at_1: float
    fold: int | None = None

    def __str__(self) -> str:
        """Its R@1 in words; where there are several, that of one trial is luck in part."""
        epoch = "" if self.epoch is None else f" at epoch {self.epoch}"
        fold = "" if self.fold is None else f" on fold {self.fold}"
        text = f"R@1 {self.recall_at_1:.1%}{epoch}{fold}"
        if self.trials == 1:
            return text
        return f"{text} (mean of its {self.trials} completed trials {self.mean_recall_at_1:.1%})"


@dataclass(frozen=True)
class Retrained:
    """One configuration, retrained on the full training half and tested on the test classes.

    Attributes:
        study: The retraining it belongs to.
        label: Short name of the configuration, such as "tuned #11"; with the retraining's where
            there are several.
        role: "tuned" or "baseline".
        source_trial: The search's trial it comes from.
        epochs: Epochs it was trained for.
        recall: Estimate over seeds by k, fractions in [0, 1].
        recall_at_1: R@1 of each seed.
    """

    study: str
    label: str
    role: str
    source_trial: int
    parameters: dict[str, Any]
    epochs: int
    recall: dict[int, Estimate]
    recall_at_1: list[float]


@dataclass(frozen=True)
class Gain(Estimate):
    """R@1 of the search's best trial over its baseline's.

    Attributes:
        retraining: The retraining that has both.
    """

    retraining: str


@dataclass(frozen=True)
class Report:
    """Everything ``report.json`` holds and ``report.md`` shows.

    Attributes:
        images: What the search and its retrainings trained on and were judged by; None until a
            worker has read them.
        warnings: What the search's R@1 can't tell, a sentence each.
    """

    study: str
    space: str
    dataset: str
    backbone: str
    loss: str
    selection: str
    on_test_classes: bool
    trials: dict[str, int]
    best: WinningTrial
    retrained: list[Retrained]
    gain_over_baseline: Gain | None
    published: dict[str, dict[str, float]]
    published_source: str
    search_cost: Cost
    retraining_cost: Cost | None
    unfinished_retrainings: list[str]
    half_created_retrainings: list[str]
    failed_runs: list[str]
    retraining_warnings: list[str]
    provenance: dict[str, Any]
    models: list[RetrainedModel]
    images: Census | None = None
    warnings: Sequence[str] = ()
