"""What a worker is started with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from histsearch.data.image_cache import ImageCache
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.progress_display import NoDisplay, ProgressDisplay
from histsearch.workers.progress_watch import WatchTimes
from histsearch.workers.registry import Identity
from histsearch.workers.slots import Slot


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What a worker is started with; handed on whole to whatever reads a part of it.

    Attributes:
        identity: Who it is.
        study_names: Studies to serve; every study when empty.
        drain: End when nothing is left to do, instead of waiting for new work.
        data_dir: Folder of the data sets, and of weights files that a space names.
        checkpoints: Folder or s3:// address of runs' states and retrained models.
        checkpoint_every: Epochs from one saved state to the next.
        heartbeat_seconds: Time between two signs of life.
        patience_seconds: How long the database may be away.
        device: "cpu" or "cuda".
        threads: CPU threads of torch.
        loader_processes: Processes that decode images; 0 decodes in the worker's own.
        slot: Its place under a supervisor; None without one.
        image_cache: Where decoded images are kept; None for nowhere.
        data_on_gpu: Whether they lie on the device as well.
        watch_times: How long its work may be without progress.
        display: Shows what it does.
    """

    identity: Identity
    study_names: Sequence[str]
    drain: bool
    data_dir: Path
    checkpoints: str
    checkpoint_every: int
    heartbeat_seconds: float
    patience_seconds: float
    device: str
    threads: int
    loader_processes: int
    slot: Slot | None = None
    image_cache: ImageCache | None = None
    data_on_gpu: DataOnGpu = DataOnGpu.auto
    watch_times: WatchTimes = field(default_factory=WatchTimes)
    display: ProgressDisplay = field(default_factory=NoDisplay)
