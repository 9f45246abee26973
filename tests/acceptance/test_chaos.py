from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from histsearch.database.embedded_postgres import server
from histsearch.folders import HOME_VARIABLE
from tests.chaos.storm import Storm, Weather, storm_space
from tests.homes import temporary_home

SHORT = Weather(
    workers=2,
    kill_every=4.0,
    patience=2,
    kills_between=2,
    suspensions=1,
    suspension=2.5,
    hangs=1,
    creations=4,
    restarts=1,
    outage=4.0,
    freeze=3.0,
    truncate=True,
    heartbeat=0.25,
    limit=600.0,
)


@pytest.fixture
def postgres_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[URL]:
    """A PostgreSQL of this test's own, which may come and go."""
    with temporary_home() as home:
        monkeypatch.setenv(HOME_VARIABLE, str(home))
        yield server.start()
        server.stop()


@pytest.mark.timeout(900)
def test_nothing_is_lost_in_a_short_storm(postgres_server: URL, tmp_path: Path) -> None:
    """`make chaos` is the long one."""
    damage = Storm(storm_space(trials=4, epochs=3), SHORT, postgres_server, tmp_path).blow()
    print(damage)  # noqa: T201 - pytest shows it when something was lost
    assert damage.faults == []
    # How much more comes before the study is finished depends on the machine.
    assert damage.suspensions + damage.hangs >= 1
    assert damage.creations_killed == 4
    assert damage.kills >= 2
    assert damage.restarts + damage.outages + damage.freezes + damage.truncated >= 1
    assert sum(damage.states.values()) == 4
