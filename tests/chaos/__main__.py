"""``make chaos``: the whole storm, about ten minutes on two cores."""

import os
import sys

from histsearch.database.embedded_postgres import server
from histsearch.folders import HOME_VARIABLE
from tests.chaos.storm import Storm, Weather, storm_space
from tests.homes import temporary_home

WEATHER = Weather(
    workers=4,
    kill_every=5.0,
    patience=8,
    kills_between=4,
    suspensions=5,
    suspension=4.0,
    hangs=2,
    creations=40,
    restarts=3,
    outage=30.0,
    freeze=10.0,
    truncate=True,
    heartbeat=0.25,
    limit=3600.0,
)


def main() -> int:
    """Let the storm blow, and say what it did; 1 if anything was lost."""
    with temporary_home() as home:
        os.environ[HOME_VARIABLE] = str(home)
        folder = home / "storm"
        folder.mkdir()
        space = storm_space(trials=64, epochs=5)
        try:
            damage = Storm(space, WEATHER, server.start(), folder).blow()
        finally:
            server.stop()
    seen = (
        damage.suspensions,
        damage.hangs,
        damage.restarts,
        damage.outages,
        damage.freezes,
        damage.truncated,
    )
    if seen != (WEATHER.suspensions, WEATHER.hangs, WEATHER.restarts, 1, 1, 1):
        damage.faults.append("the study was finished before all of the weather had come")
    print(damage)  # noqa: T201
    return 1 if damage.faults else 0


if __name__ == "__main__":
    sys.exit(main())
