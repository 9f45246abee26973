"""A real PostgreSQL for the tests: one embedded server a run, one empty database a test."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy
from PIL import Image
from sqlalchemy.engine import URL

from histsearch.studies import embedded_postgres
from histsearch.studies.storage import Storage

GOLDEN = Path(__file__).parent / "golden"

# Two test processes with two threads each would crawl on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def histsearch_home() -> Iterator[Path]:
    # Not under pytest's folder: each run of pytest locks that to its own user again, and as root
    # the server runs as another one.
    with (
        tempfile.TemporaryDirectory(prefix="histsearch-", ignore_cleanup_errors=True) as home,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HISTSEARCH_HOME", home)
        patch.delenv("HISTSEARCH_STORAGE", raising=False)
        patch.delenv("HISTSEARCH_DATA", raising=False)
        yield Path(home)
        embedded_postgres.stop()


@pytest.fixture(scope="session")
def postgres(histsearch_home: Path) -> URL:  # noqa: ARG001 - the server lives there
    return embedded_postgres.start()


@pytest.fixture
def database(postgres: URL) -> Iterator[URL]:
    """An empty database of this test's own."""
    name = f"test_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        yield postgres.set(database=name)
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def storage(database: URL) -> Storage:
    return Storage(database)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with ``stripes``: 12 classes of 8 noisy stripe patterns as PNG files."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:36, 0:36]
    for label in range(12):
        angle = np.pi * label / 12
        waves = np.sin((np.cos(angle) * rows + np.sin(angle) * columns) * (0.5 + 0.1 * (label % 3)))
        folder = root / "stripes" / f"class{label:02d}"
        folder.mkdir(parents=True)
        for number in range(8):
            pixels = 128 + 80 * waves + rng.normal(scale=25, size=waves.shape)
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / f"{number}.png")
    return root


@pytest.fixture
def stripes() -> dict[str, Any]:
    """A space over ``stripes`` whose trials take a fraction of a second."""
    return {
        "name": "stripes",
        "dataset": "folder:stripes",
        "backbone": "conv4",
        "epochs": 3,
        "trials": 3,
        "search": {"lambda_s": [0.5, 1.0, 2.0], "tau": [8, 16, 32], "batch_size": [8, 16]},
        "fixed": {
            "embedding_size": 16,
            "hgnn_hidden": 16,
            "lr": 0.003,
            "lr_hgnn": 0.003,
            "bn_freeze": False,
        },
        "protocol": {"validation_fraction": 0.34},
    }
