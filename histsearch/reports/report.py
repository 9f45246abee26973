"""What a report says, as data: the contents of ``report.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from histsearch.data.census import Census
from histsearch.reports.comparisons import Comparison
from histsearch.reports.configuration_costs import ConfigurationCost
from histsearch.reports.cost import Cost
from histsearch.reports.full_configuration import FullConfiguration
from histsearch.reports.leader import Leader
from histsearch.reports.seed_run import SeedRun
from histsearch.reports.statistics import Estimate
from histsearch.reports.what_mattered import WhatMattered
from histsearch.retrieval.known_metrics import recall_at
from histsearch.studies.trial_models import RetrainedModel
from histsearch.studies.trial_record import TUNED


@dataclass(frozen=True)
class WinningTrial:
    """The search's winner on the classes it was selected on.

    Attributes:
        number: A completed trial of the winning configuration.
        parameters: That configuration.
        objective: Label of the metric that was maximised.
        score: The trial's best score, in [0, 1].
        epoch: When that was; None if it reported no epoch.
        trials: How many trials of the configuration are complete.
        mean_score: The mean of what `score` is, over these; over folds, where these are of several.
        fold: The fold it was validated on, from 0 on; None where there is one.
        judged: When and by what it was chosen; None where its value decides, or the model was asked
            just now.
    """

    number: int
    parameters: dict[str, Any]
    objective: str
    score: float
    epoch: int | None
    trials: int
    mean_score: float
    fold: int | None = None
    judged: str | None = None

    @property
    def overall(self) -> float:
        """Its score; of several folds the mean over these."""
        return self.score if self.fold is None else self.mean_score

    def __str__(self) -> str:
        """Its score in words; where there are several, that of one trial is luck in part."""
        epoch = "" if self.epoch is None else f" at epoch {self.epoch}"
        fold = "" if self.fold is None else f" on fold {self.fold}"
        text = f"{self.objective} {self.score:.1%}{epoch}{fold}"
        if self.trials == 1:
            return text
        return f"{text} (mean of its {self.trials} completed trials {self.mean_score:.1%})"


@dataclass(frozen=True)
class Retrained:
    """One configuration, retrained on the full training half and tested on the test classes.

    Attributes:
        study: The retraining it belongs to.
        label: Short name of the configuration, such as "tuned #11" or "baseline authors"; with the
            retraining's where there are several.
        role: "tuned" or "baseline".
        source_trial: The search's trial with the configuration; None where there is none.
        baselines: Names of the baselines that it is, a tuned one as well.
        epochs: Epochs it was trained for.
        objective: Label of the metric that the search maximised.
        score: Estimate of it over seeds, in [0, 1].
        scores: It of each seed.
        seeds: The seeds, in that order.
        recall: Estimate of R@K over seeds by K, fractions in [0, 1].
        others: Estimates of NMI, R-Precision and MAP@R by their labels, in [0, 1]; those that every
            run recorded, as runs of earlier versions recorded none.
        runs: Each of its completed runs.
        to_come: How many of its runs are queued or running.
    """

    study: str
    label: str
    role: str
    source_trial: int | None
    baselines: tuple[str, ...]
    parameters: dict[str, Any]
    epochs: int
    objective: str
    score: Estimate
    scores: list[float]
    seeds: list[int]
    recall: dict[int, Estimate]
    others: dict[str, Estimate] = field(default_factory=dict)
    runs: Sequence[SeedRun] = ()
    to_come: int = 0

    def is_of(self, winner: WinningTrial) -> bool:
        """Whether it is the winner's configuration, retrained as one of the best."""
        own = self.parameters
        return self.role == TUNED and all(
            name in own and own[name] == value for name, value in winner.parameters.items()
        )

    @property
    def figures(self) -> dict[str, Estimate]:
        """Its estimates by the label of their metric, the objective first."""
        recalls = {recall_at(k).label: estimate for k, estimate in self.recall.items()}
        return {self.objective: self.score, **recalls, **self.others}


@dataclass(frozen=True)
class Report:
    """Everything that ``report.json`` holds of a search and its retrainings.

    Attributes:
        state: Whether the search is "open", "paused" or "finished".
        ended: Why it ended; None while it goes on.
        budget: How many trials it may have.
        best: Its winner so far; None before a trial is complete.
        leader: Its leader, with what the model expects of it; None before the first epoch.
        failures: The reason of each of its trials that failed.
        images: What the search and its retrainings trained on and were judged by; None until a
            worker has read them.
        objective: Label of the metric that the search maximised.
        comparisons: Of each of the best configurations with each baseline, and with one another.
        baselines_of_winner: Names of the baselines that the search's winner is.
        warnings: What the search's score can't tell, a sentence each.
        slots: The most slots of a device that its trials ran on side by side.
        mattered: Which parameters mattered, and at which edges the winner lies.
        configurations: All values of the winner and of each retrained configuration.
        costs: What each configuration of the search cost, that which cost most first.
        search_total: The same of all its trials together.
        retraining_costs: The same of each retrained configuration, by its label.
        weights: What training starts from: "pretrained", "none" or a file.
        space_toml: The space, as a file.
        commands: Those that repeat all of it.
    """

    study: str
    space: str
    dataset: str
    backbone: str
    loss: str
    objective: str
    selection: str
    on_test_classes: bool
    trials: dict[str, int]
    best: WinningTrial | None
    retrained: list[Retrained]
    comparisons: list[Comparison]
    baselines_of_winner: Sequence[str]
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
    slots: int = 1
    state: str = "open"
    ended: str | None = None
    budget: int = 0
    failures: Sequence[str] = ()
    mattered: WhatMattered = field(default_factory=WhatMattered)
    configurations: Sequence[FullConfiguration] = ()
    costs: Sequence[ConfigurationCost] = ()
    search_total: ConfigurationCost | None = None
    retraining_costs: Mapping[str, ConfigurationCost] = field(default_factory=dict)
    weights: str = ""
    space_toml: str = ""
    commands: Sequence[str] = ()
    leader: Leader | None = None

    @property
    def tested_winners(self) -> list[Retrained]:
        """The winner in each retraining that has a test figure of it."""
        return [] if self.best is None else [one for one in self.retrained if one.is_of(self.best)]

    @property
    def tested_winner(self) -> Retrained | None:
        """The winner as it was retrained with the most seeds; None where it has no test figure."""
        return max(self.tested_winners, key=lambda one: len(one.scores), default=None)
