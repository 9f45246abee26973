"""Arguments that name a trained model: a file, or a retrained trial as STUDY/NUMBER."""

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from histsearch.cli.options import open_to_read
from histsearch.exceptions import WeightsError
from histsearch.wording import shortened

if TYPE_CHECKING:
    from histsearch.models.checkpoint import Checkpoint
    from histsearch.models.loading import ExportedModel

_TRIAL = re.compile(r".+/\d+")


def load_named_model(text: str, storage: str | None) -> "Checkpoint | ExportedModel":
    """Load the model that an argument names; a file of that name goes before a trial.

    Args:
        text: A path, or STUDY/NUMBER.
        storage: The option ``--storage``, for a trial.

    Raises:
        WeightsError: There is no such file, or it holds no model.
        StudyError: There is no such trial, or it kept no model.
    """
    from histsearch.models.loading import load_model

    with _model_file(text, storage) as (path, name):
        return load_model(path, name)


@contextmanager
def _model_file(text: str, storage: str | None) -> Iterator[tuple[Path, str]]:
    """The file, and what to call it: that of an S3 store lies under a name of the moment."""
    mode = _mode(text)
    if mode is not None and not stat.S_ISDIR(mode):
        yield Path(text), text
        return
    # A folder may lie there all the same: checkpoints of a study lie in one of its name.
    if not _TRIAL.fullmatch(text):
        shown = shortened(text)
        found = f"no file {shown}" if mode is None else f'"{shown}", a folder'
        raise WeightsError(
            f"found {found}; give the path of a model's file, or a retrained trial as STUDY/NUMBER"
        )
    from histsearch.studies.trial_models import trial_model

    with trial_model(open_to_read(storage), text) as model:
        yield model.file, model.place


def _mode(text: str) -> int | None:
    try:
        return Path(text).stat().st_mode
    except PermissionError:
        return stat.S_IFREG  # opening it tells why it can't be read
    except OSError:
        return None


def own_dataset(model: "Checkpoint | ExportedModel") -> str | None:
    """The data set that a model was trained on, as its file tells."""
    dataset = model.metadata.get("dataset")
    return dataset if isinstance(dataset, str) else None
