"""Files that trials kept in a checkpoint store, by the place that their record names."""

from histsearch.training.checkpoint_store import open_checkpoint_store

S3_SCHEME = "s3://"
"""How the place of an object in a bucket begins; any other is a path on its worker's machine."""


def read_kept(place: str) -> bytes | None:
    """The content of a file; None where it isn't, or isn't on this machine.

    Raises:
        CheckpointError: It can't be read.
    """
    # Whatever key it was kept under: its last part is a key in the store of what goes before.
    store, _, key = place.rpartition("/")
    return open_checkpoint_store(store).read(key)
