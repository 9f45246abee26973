import os
import signal
import subprocess
import sys
from pathlib import Path

GPUS = "[Gpu(0, 'GPU-a', 'H200', 1), Gpu(1, 'GPU-b', 'H200', 1)]"
STAND_IN = """#!{python}
import os, pathlib, signal, sys
place = pathlib.Path({folder!r}) / sys.argv[sys.argv.index("--gpu") + 1]
def stop(number, frame):
    place.with_suffix(".stopped").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
place.write_text(" ".join([*sys.argv[1:], os.environ["HISTSEARCH_STORAGE"]]))
os.write(1, b"ready\\n")
if {code} is not None:
    sys.exit({code})
while True:
    signal.pause()
"""


def start_supervisor(folder: Path, code: int | None) -> subprocess.Popen[str]:
    """A supervisor of two workers, each a stand-in that notes how it was started."""
    stand_in = folder / "stand_in"
    stand_in.write_text(STAND_IN.format(python=sys.executable, folder=str(folder), code=code))
    stand_in.chmod(0o755)
    program = (
        "import sys\n"
        "from histsearch.workers.gpu import Gpu\n"
        "from histsearch.workers.supervisor import supervise\n"
        f"sys.executable = {str(stand_in)!r}\n"
        f"sys.exit(supervise({GPUS}, ['--drain'], {{'HISTSEARCH_STORAGE': 'the-url'}}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def test_each_gpu_gets_a_worker_with_the_storage_in_its_environment(tmp_path: Path) -> None:
    supervisor = start_supervisor(tmp_path, code=0)
    supervisor.communicate(timeout=60)
    assert supervisor.returncode == 0
    for uuid in ("GPU-a", "GPU-b"):
        started = (tmp_path / uuid).read_text()
        assert started == f"-m histsearch worker --gpu {uuid} --drain the-url"


def test_a_stop_signal_is_handed_on_to_every_worker(tmp_path: Path) -> None:
    supervisor = start_supervisor(tmp_path, code=None)
    assert supervisor.stdout is not None
    assert [supervisor.stdout.readline() for _ in "ab"] == ["ready\n"] * 2
    supervisor.send_signal(signal.SIGTERM)
    supervisor.communicate(timeout=60)
    assert supervisor.returncode == 0
    assert sorted(path.name for path in tmp_path.glob("*.stopped")) == [
        "GPU-a.stopped",
        "GPU-b.stopped",
    ]


def test_a_failed_worker_shows_in_the_exit_code(tmp_path: Path) -> None:
    supervisor = start_supervisor(tmp_path, code=3)
    supervisor.communicate(timeout=60)
    assert supervisor.returncode == 3
