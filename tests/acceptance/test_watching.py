"""``status --watch`` on a terminal."""

import re
from pathlib import Path

from histsearch.database.storage import Storage
from histsearch.studies.catalog import find_study
from tests.acceptance.processes import Run
from tests.integration.claims import claimed
from tests.terminal import run_on_terminal


def test_watching_draws_the_curves_of_running_trials_until_ctrl_c(
    run: Run, stripes_file: Path, environment: dict[str, str], storage: Storage
) -> None:
    run("study", "create", str(stripes_file))
    claimed(find_study(storage, "stripes")).record({}, {1: 0.5, 2: 0.25, 3: 0.75})
    watched = run_on_terminal(
        ["status", "--watch"],
        {**environment, "TERM": "xterm"},
        interrupt_at="best so far, runs",
        columns=80,
        times=2,
    )
    assert watched.code == 0
    shown = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", watched.output)
    assert re.search(r"study +state +trials +running .*epochs .*ETA", shown)
    assert "…" not in shown, "nothing is cut short"
    assert "stripes: curves from 25.0% to 75.0%" in watched.output
    first, second, *_ = re.findall(r"#0 +(\S+) ", shown)
    assert (first, second) == ("▅▁█", "▅▁█")
