"""Claims as a worker makes them, without the worker."""

from histsearch.database.storage import Storage
from histsearch.studies.claim import Claim
from histsearch.studies.queue import claim
from histsearch.studies.study import Study
from histsearch.workers.registry import Identity, sign_on


def signed_on(
    storage: Storage,
    *,
    heartbeat_seconds: float = 10.0,
    name: str = "tester",
    host: str = "localhost",
) -> int:
    """Key of a new worker that will never show another sign of life."""
    identity = Identity(name, host, 1, "a processor", None)
    return sign_on(storage, identity, heartbeat_seconds)


def claim_next(study: Study) -> Claim | None:
    """The next trial, claimed by a new worker."""
    return claim(study, signed_on(study.storage))


def claimed(study: Study) -> Claim:
    """The same where there must be one."""
    found = claim_next(study)
    assert found is not None
    return found
