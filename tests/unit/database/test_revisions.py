from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from optuna.storages._rdb import models

from histsearch.database import migrations
from histsearch.database.revisions import read_revisions

OURS = Path(migrations.__file__).parent
OPTUNAS = Path(models.__file__).with_name("alembic")


@pytest.mark.parametrize("folder", [OURS, OPTUNAS], ids=["histsearch", "Optuna"])
def test_revisions_are_those_that_alembic_finds(folder: Path) -> None:
    scripts = ScriptDirectory(folder)
    revisions = read_revisions(folder / "versions")
    assert revisions.head == scripts.get_current_head()
    assert revisions.all == {script.revision for script in scripts.walk_revisions()}
