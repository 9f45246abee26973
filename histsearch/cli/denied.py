"""What commands say of checkpoints that other users keep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from histsearch.cli.output import echo
from histsearch.exceptions import CheckpointDeniedError

if TYPE_CHECKING:
    from histsearch.studies.saved_states import Denied, Saved


def warn_of_unlisted(error: CheckpointDeniedError) -> None:
    """Say that checkpoints couldn't be listed."""
    echo(f"warning: {error}", err=True)


def warn_of_staying(denied: "Sequence[Denied]") -> None:
    """Say whose states couldn't be removed, one line a user."""
    owners: dict[str, list[Denied]] = {}
    for one in denied:
        owners.setdefault(one.error.owner, []).append(one)
    for owner, theirs in owners.items():
        size = megabytes([one.saved for one in theirs])
        echo(f"warning: {size} of {owner}'s stay: {theirs[0].error}", err=True)


def megabytes(saved: "Sequence[Saved]") -> str:
    """How much files take, such as "1.2 MB"."""
    return f"{sum(one.content.size for one in saved) / 1e6:.1f} MB"
