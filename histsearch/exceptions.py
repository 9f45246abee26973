"""Errors a user can act on.

Every message is one sentence or two: what was found, what is allowed, what to do. The command
line prints it without a traceback and exits with code 2.
"""


class HistsearchError(Exception):
    """Base of every error whose cause lies outside the program.

    Its message is one line, or several, each an argument of its own: what a message quotes may
    hold a line break, which mustn't look like the program's.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of the message."""
        return tuple(str(line) for line in self.args)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class SpaceError(HistsearchError):
    """A search space or a configuration holds something a trial couldn't use."""


class StorageError(HistsearchError):
    """The storage URL can't be used, or its PostgreSQL can't be reached."""


class NoTablesError(StorageError):
    """The database holds no tables of histsearch."""


class DatabaseAwayError(StorageError):
    """PostgreSQL doesn't answer at the moment, and may do so again."""


class StudyError(HistsearchError):
    """A study doesn't exist, exists already, or doesn't allow what was asked of it."""


class DataError(HistsearchError):
    """A data set is missing, incomplete or of another layout than its reader expects."""


class WeightsError(HistsearchError):
    """A weights file is missing or doesn't fit the network."""


class DeviceError(HistsearchError):
    """The requested GPU doesn't exist or can't be used."""


class FolderError(HistsearchError):
    """The folder of histsearch's own files can't be used."""


class ExportError(HistsearchError):
    """A model can't be exported, or an exported file doesn't give the model's embeddings."""


class CheckpointError(HistsearchError):
    """The place for checkpoints can't be used, or one of them can't be read or written."""


class CheckpointDeniedError(CheckpointError):
    """A checkpoint lies where another user doesn't let this one read, write or remove it.

    Attributes:
        owner: Name of that user.
    """

    def __init__(self, message: str, owner: str) -> None:
        super().__init__(message)
        self.owner = owner


class StoreFullError(CheckpointError):
    """The disk, or the quota, that a checkpoint was to be written to is used up."""
