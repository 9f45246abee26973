"""What the runs of a study need on this machine, looked for before one of its trials is claimed."""

import logging
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

import torch

from histsearch.data.census import Census
from histsearch.data.dataset import Dataset
from histsearch.exceptions import HistsearchError
from histsearch.space.trained_space import TrainedSpace
from histsearch.studies.images import count_images, image_warnings, note_census
from histsearch.studies.study import Study
from histsearch.training.arithmetic import check_precision
from histsearch.training.progress_display import Phase
from histsearch.training.run_inputs import RunInputs, find_run_parts, load_images
from histsearch.training.trainer import InterruptedRunError
from histsearch.workers.missing_resources import Lack, find_lack, short_of
from histsearch.workers.progress_watch import ProgressWatch
from histsearch.workers.settings import WorkerSettings

log = logging.getLogger(__name__)


class StudyInputs:
    """Loads what studies need; each data set is read once.

    Args:
        settings: What the worker was started with.
        watch: Told of each image that is read.
        should_stop: Whether the worker is to stop.
        on_reading: Called with the name of a data set before it is read.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        watch: ProgressWatch,
        should_stop: Callable[[], bool],
        on_reading: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._watch = watch
        self._should_stop = should_stop
        self._on_reading = on_reading
        self._datasets: dict[tuple[str, str, int | None], Dataset] = {}
        self._told: set[int] = set()

    def load(self, study: Study) -> RunInputs:
        """What the runs of a study have in common.

        Raises:
            InterruptedRunError: A stop signal came meanwhile.
            StudyError: The study is another version's.
            LackError: This machine is short of something.
            HistsearchError: Images or weights can't be used here.
            StorageError: The database doesn't answer.
        """
        inputs, census = self._load(study)
        if self._should_stop():
            raise InterruptedRunError
        self._tell_images(study, census)
        return inputs

    def _load(self, study: Study) -> tuple[RunInputs, Census]:
        space = study.definition.space
        if study.id not in self._told:
            self._settings.display.begin(Phase(f"preparing study {study.name}"))
        try:
            study.definition.check_version(study.name)
            study.definition.check_providers()
            check_precision(space.precision, torch.device(self._settings.device))
            parts = find_run_parts(space, self._settings.data_dir)
            dataset = self._dataset(space)
            census = count_images(dataset, study.definition)
            study.check_images(dataset.fingerprint())
        except HistsearchError:
            raise
        except BrokenProcessPool as error:
            if self._should_stop():  # the decoding processes were stopped along with this one
                raise InterruptedRunError from error
            raise short_of(Lack.MEMORY, "a process that reads images was killed") from error
        except (MemoryError, OSError) as error:
            lack = find_lack(error)
            if lack is None:
                raise
            raise short_of(lack, f"{type(error).__name__}: {error}") from error
        return RunInputs(dataset, parts), census

    def _dataset(self, space: TrainedSpace) -> Dataset:
        key = (space.dataset, space.on_bad_image, space.image_size_cap)
        if key not in self._datasets:
            self._on_reading(space.dataset)
            with self._watch.watching("reading images", begins_long=True):
                self._datasets[key] = load_images(
                    space,
                    self._settings.data_dir,
                    self._settings.loader_processes,
                    self._settings.image_cache,
                    on_image=self._on_image,
                    on_phase=self._settings.display.begin,
                )
        return self._datasets[key]

    def _on_image(self) -> None:
        self._watch.progress()
        self._settings.display.step()
        if self._should_stop():
            raise InterruptedRunError

    def _tell_images(self, study: Study, census: Census) -> None:
        """Say once what a study's images are and what they can't tell, and keep it with it."""
        if study.id in self._told:
            return
        note_census(study, census)
        log.info("study %s: %s", study.name, census)
        for warning in image_warnings(study, census):
            log.warning("study %s: %s", study.name, warning)
        self._told.add(study.id)
