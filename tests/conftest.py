"""A real PostgreSQL for the tests: one embedded server a run, one empty database a test."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.engine import URL

from histsearch.database.embedded_postgres import server
from histsearch.database.storage import Storage
from histsearch.folders import IMAGE_CACHE_VARIABLE
from histsearch.workers.gpu import VISIBLE
from tests.databases import new_database
from tests.homes import temporary_home
from tests.stripes import draw_stripes, stripes_space

GOLDEN = Path(__file__).parent / "golden"

# Two test processes with two threads each would crawl on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_GPUS = os.environ.get(VISIBLE)


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(autouse=True)
def _same_gpus() -> None:
    """A command that ran in this process, also for a fixture, may have hidden its GPUs."""
    if _GPUS is None:
        os.environ.pop(VISIBLE, None)
    else:
        os.environ[VISIBLE] = _GPUS


@pytest.fixture(scope="session", autouse=True)
def image_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of decoded images of every process that a test starts."""
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(IMAGE_CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="session")
def histsearch_home() -> Iterator[Path]:
    # Not under pytest's folder: each run of pytest locks that to its own user again, and as root
    # the server runs as another one.
    with temporary_home() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HISTSEARCH_HOME", str(home))
        patch.delenv("HISTSEARCH_STORAGE", raising=False)
        patch.delenv("HISTSEARCH_DATA", raising=False)
        yield home
        server.stop()


@pytest.fixture(scope="session")
def postgres(histsearch_home: Path) -> URL:  # noqa: ARG001 - the server lives there
    return server.start()


@pytest.fixture(scope="session")
def tables(postgres: URL) -> str:
    """The name of a database with the tables in place, to copy: to make them takes longer."""
    name = "with_tables"
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    Storage(postgres.set(database=name)).optuna.engine.dispose()
    return name


@pytest.fixture
def database(postgres: URL, request: pytest.FixtureRequest) -> Iterator[URL]:
    """A database of this test's own: empty, but with its tables where the test has a `storage`."""
    has_tables = "storage" in request.fixturenames
    tables = request.getfixturevalue("tables") if has_tables else None
    with new_database(postgres, tables) as url:
        yield url


@pytest.fixture
def storage(database: URL) -> Storage:
    return Storage(database)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with ``stripes``, as `draw_stripes` draws them."""
    root = tmp_path_factory.mktemp("data")
    draw_stripes(root)
    return root


@pytest.fixture
def stripes() -> dict[str, Any]:
    """The space over ``stripes``."""
    return stripes_space()


@pytest.fixture
def stripes_file(stripes: dict[str, Any], tmp_path: Path) -> Path:
    """The space ``stripes`` as a TOML file."""
    path = tmp_path / "stripes.toml"
    tables = {key: value for key, value in stripes.items() if isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in stripes.items() if key not in tables]
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    path.write_text("\n".join(lines))
    return path
