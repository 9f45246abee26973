"""The workers in the database: sign on, heartbeat, sign off."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, select, update

import histsearch
from histsearch.database.storage import Storage
from histsearch.database.tables import attempts, workers

GRACE_HEARTBEATS = 6
"""A worker counts as gone after a silence of this many heartbeats."""

IDLE = "idle"
"""What a worker does that has no trial, for a moment or for want of work."""

_FORGOTTEN_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class Identity:
    """What a worker says of itself when it signs on.

    Attributes:
        name: Shown in logs and recorded on trials.
        host: Name of its machine.
        process_id: On that machine.
        device: Model of its GPU or processor.
        gpu: Index of its GPU by nvidia-smi; None without one.
        slots: How many its device has: workers that run trials on it side by side.
    """

    name: str
    host: str
    process_id: int
    device: str
    gpu: str | None
    slots: int = 1

    @property
    def share(self) -> float:
        """Its part of its device: what one second of the worker is charged."""
        return 1.0 / self.slots


@dataclass(frozen=True)
class Activity:
    """What a worker does at the moment.

    Attributes:
        word: `IDLE`, "training" and the like.
        study: Its study, when it runs a trial; so the others.
        trial: Number of the trial.
        epoch: The last one finished.
        epochs: Full length of the trial.
        images_per_second: Training throughput of the last epoch.
        memory_mib: Peak memory, of the GPU where there is one.
    """

    word: str
    study: str | None = None
    trial: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    images_per_second: float | None = None
    memory_mib: int | None = None


def grace_seconds(heartbeat_seconds: float) -> float:
    """The silence after which a worker counts as gone that shows a sign of life so often."""
    return GRACE_HEARTBEATS * heartbeat_seconds


def sign_on(
    storage: Storage,
    identity: Identity,
    heartbeat_seconds: float,
    serves: Sequence[str] = (),
) -> int:
    """Register a worker, and return its key.

    Args:
        storage: Where its studies are.
        identity: What it says of itself.
        heartbeat_seconds: How often it will show a sign of life.
        serves: Names of the studies it serves; every study when empty.
    """
    row = insert(workers).values(
        name=identity.name,
        host=identity.host,
        process_id=identity.process_id,
        device=identity.device,
        gpu=identity.gpu,
        slots=identity.slots,
        version=histsearch.__version__,
        grace_seconds=grace_seconds(heartbeat_seconds),
        serves=list(serves),
    )
    with storage.singly() as connection:
        key: int = connection.execute(row.returning(workers.c.id)).scalar_one()
    return key


def beat(storage: Storage, worker_id: int, activity: Activity, attempt_id: int | None) -> bool:
    """Show a sign of life.

    Returns:
        False when the attempt isn't the worker's any more; True when it is, or there is none.
    """
    row = (
        update(workers)
        .where(workers.c.id == worker_id)
        .values(
            beats=workers.c.beats + 1,
            heartbeat_at=func.clock_timestamp(),
            activity=activity.word,
            study=activity.study,
            trial=activity.trial,
            epoch=activity.epoch,
            epochs=activity.epochs,
            images_per_second=activity.images_per_second,
            memory_mib=activity.memory_mib,
        )
    )
    held = select(attempts.c.id).where(attempts.c.id == attempt_id, attempts.c.ended_at.is_(None))
    with storage.singly() as connection:
        connection.execute(row)
        return attempt_id is None or connection.scalar(held) is not None


def sign_off(storage: Storage, worker_id: int) -> None:
    """Note that a worker ended in good order; a trial it couldn't give back is free at once."""
    row = (
        update(workers)
        .where(workers.c.id == worker_id)
        .values(ended_at=func.clock_timestamp(), activity="ended")
    )
    with storage.begin() as connection:
        connection.execute(row)


@dataclass(frozen=True)
class RegisteredWorker:
    """A worker as the database knows it.

    Attributes:
        identity: What it said of itself.
        version: Its histsearch.
        activity: What its last heartbeat said.
        silent_seconds: Time since then, by the database's clock.
        gone: Whether the silence is longer than its grace.
        serves: Names of the studies it serves; every study when empty.
    """

    identity: Identity
    version: str
    activity: Activity
    silent_seconds: float
    gone: bool
    serves: tuple[str, ...]


def list_workers(storage: Storage) -> list[RegisteredWorker]:
    """The workers that haven't signed off and were heard of within a day, by name."""
    silence = func.extract("epoch", func.clock_timestamp() - workers.c.heartbeat_at)
    query = (
        select(workers, silence.label("silence"))
        .where(workers.c.ended_at.is_(None), silence < _FORGOTTEN_SECONDS)
        .order_by(workers.c.name, workers.c.id)
    )
    with storage.begin() as connection:
        rows = connection.execute(query).all()
    return [
        RegisteredWorker(
            identity=Identity(row.name, row.host, row.process_id, row.device, row.gpu, row.slots),
            version=row.version,
            activity=Activity(
                row.activity,
                row.study,
                row.trial,
                row.epoch,
                row.epochs,
                row.images_per_second,
                row.memory_mib,
            ),
            silent_seconds=max(0.0, float(row.silence)),
            # A heartbeat of the future is one of before the clock was set back.
            gone=abs(float(row.silence)) > row.grace_seconds,
            serves=tuple(row.serves),
        )
        for row in rows
    ]
