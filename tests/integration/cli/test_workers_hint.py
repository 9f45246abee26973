import pytest

from histsearch.database.storage import Storage
from histsearch.studies.catalog import create_search
from histsearch.workers.registry import Identity, sign_on
from tests.integration.cli.test_study import invoke
from tests.integration.studies.small_search import small_space


@pytest.mark.parametrize("command", [["resume"], ["enqueue", "batch_size=8"], ["set", "trials=9"]])
def test_a_study_that_goes_on_says_when_no_worker_serves_it(
    storage: Storage, command: list[str]
) -> None:
    study = create_search(storage, small_space())
    hint = (
        "no worker serves it at the moment; start workers with: histsearch worker --study small "
        "--gpu 0 (or --device cpu)\n"
    )
    assert invoke(storage, *command).endswith(hint)

    def joined_by(host: str, *serves: str) -> bool:
        """Whether the hint is gone when a worker of that host has signed on."""
        sign_on(storage, Identity("one", host, 1, "a processor", None), 10, serves)
        return hint not in invoke(storage, *command)

    assert not joined_by("node1", "another")
    study.note_left("node2", "There is no folder /data.")
    assert not joined_by("node2")
    assert joined_by("node3", "another", "small")


def test_a_study_that_stays_paused_asks_for_no_workers(storage: Storage) -> None:
    create_search(storage, small_space()).pause()
    assert "no worker" not in invoke(storage, "enqueue", "batch_size=8")
