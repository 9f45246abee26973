import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.privileges import ALICE, BOB, needs_root

# Holds the GPU that it is told to, and says so or why not; ends when its input does.
HOLDER = """
import os, sys
from histsearch.exceptions import DeviceError
from histsearch.workers.gpu import Gpu
from pathlib import Path
from histsearch.workers import gpu_lock
from histsearch.workers.gpu_lock import hold_gpu, keep_held
gpu_lock._COMMON_FOLDER = Path({common!r})
{preparation}
try:
    lock = hold_gpu(Gpu(0, {uuid!r}, "NVIDIA H200", 143771))
except DeviceError as error:
    sys.exit(str(error))
{afterwards}
os.write(1, b"held\\n")
sys.stdin.read()
"""
# What a worker does with the lock that its supervisor, which is gone here, has handed on.
AS_A_WORKER = """
descriptor = os.dup(lock.fileno())
lock.close()
keep_held(descriptor)
"""
HANDED_ON = """
import subprocess
program = "import sys; print('handed on', flush=True); sys.stdin.read()"
subprocess.Popen([sys.executable, "-c", program], pass_fds=[lock.fileno()])
"""
# The child sleeps as the input of a killed holder stays open, and ends with the test.
FORK = """
if os.fork() == 0:
    os.write(1, b"forked\\n")
    sys.stdin.read()
    os._exit(0)
"""

Hold = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """Starts a process that holds a GPU until the test ends; it has answered by then."""
    holders: list[subprocess.Popen[str]] = []

    def start(
        uuid: str = "GPU-a", *, preparation: str = "", afterwards: str = ""
    ) -> subprocess.Popen[str]:
        program = HOLDER.format(
            common=str(tmp_path),
            uuid=uuid,
            preparation=preparation,
            afterwards=afterwards,
        )
        holder = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        holders.append(holder)
        return holder

    yield start
    for holder in holders:
        holder.communicate(timeout=60)


def has_it(holder: subprocess.Popen[str]) -> bool:
    assert holder.stdout is not None
    return holder.stdout.readline() == "held\n"


def refusal(holder: subprocess.Popen[str]) -> str:
    assert holder.stderr is not None
    return holder.stderr.read()


def test_the_refusal_says_which_gpu_and_what_to_do(hold: Hold) -> None:
    assert has_it(hold())
    assert refusal(hold()) == (
        "another histsearch worker holds GPU 0: NVIDIA H200, 143771 MiB (GPU-a); stop it, or "
        "choose another GPU (one command runs several trials on a GPU with --slots)\n"
    )


def test_each_gpu_has_a_lock_of_its_own(hold: Hold) -> None:
    assert has_it(hold("GPU-a"))
    assert has_it(hold("GPU-b"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_holder_that_dies_frees_its_gpu(hold: Hold, number: signal.Signals) -> None:
    holder = hold()
    assert has_it(holder)
    holder.send_signal(number)
    assert holder.wait(timeout=60) == -number
    assert has_it(hold())


def test_a_gpu_is_held_until_the_last_process_ends_that_its_lock_was_handed_on_to(
    hold: Hold,
) -> None:
    supervisor = hold(afterwards=HANDED_ON)
    assert supervisor.stdout is not None
    assert {supervisor.stdout.readline(), supervisor.stdout.readline()} == {"held\n", "handed on\n"}
    (worker,) = psutil.Process(supervisor.pid).children()
    supervisor.kill()
    supervisor.wait(timeout=60)
    assert "another histsearch worker holds GPU 0" in refusal(hold())
    worker.kill()
    psutil.wait_procs([worker], timeout=60)
    assert has_it(hold())


def test_processes_forked_by_a_killed_holder_do_not_keep_its_gpu(hold: Hold) -> None:
    holder = hold(afterwards=AS_A_WORKER + FORK)
    assert holder.stdout is not None
    assert {holder.stdout.readline(), holder.stdout.readline()} == {"held\n", "forked\n"}
    holder.kill()
    holder.wait(timeout=60)
    assert has_it(hold())


def test_a_fork_does_not_free_the_gpu(hold: Hold) -> None:
    holder = hold(afterwards=AS_A_WORKER + FORK)
    assert holder.stdout is not None
    assert {holder.stdout.readline(), holder.stdout.readline()} == {"held\n", "forked\n"}
    assert not has_it(hold())


def test_every_user_can_use_the_file_and_none_write_to_it_whatever_the_umask(
    hold: Hold, tmp_path: Path
) -> None:
    assert has_it(hold(preparation="os.umask(0o077)", afterwards="assert os.umask(0) == 0o077"))
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


@needs_root
def test_users_exclude_one_another(hold: Hold, tmp_path: Path) -> None:
    # Pytest's folders above this one are closed to others: a user is changed within it.
    tmp_path.chmod(0o1777)
    elsewhere = f"os.chdir({str(tmp_path)!r}); gpu_lock._COMMON_FOLDER = Path()"
    other_user = f"{elsewhere}; os.environ['TMPDIR'] = '/their own'; os.setuid(65534)"
    first = hold(preparation=other_user)
    assert has_it(first)
    assert "another histsearch worker holds GPU 0" in refusal(hold())
    first.kill()
    first.wait(timeout=60)
    second = hold()
    assert has_it(second)
    assert "another histsearch worker holds GPU 0" in refusal(hold(preparation=other_user))


def test_a_link_in_the_place_of_the_file_is_refused(hold: Hold, tmp_path: Path) -> None:
    target = tmp_path / "target"
    link = tmp_path / "histsearch-GPU-a.lock"
    link.symlink_to(target)
    assert f"can't be used (Too many levels of symbolic links: {link})" in refusal(hold())
    assert not target.exists()


def test_a_pipe_in_the_place_of_the_file_keeps_nobody_waiting(hold: Hold, tmp_path: Path) -> None:
    pipe = tmp_path / "histsearch-GPU-a.lock"
    os.mkfifo(pipe)
    assert f"can't be used (It is no plain file: {pipe}); remove that file" in refusal(hold())


@needs_root
def test_a_file_that_another_user_closes_is_named(hold: Hold, tmp_path: Path) -> None:
    file = tmp_path / "histsearch-GPU-a.lock"
    file.touch(0o600)
    os.chown(file, ALICE, ALICE)
    tmp_path.chmod(0o1777)
    elsewhere = f"os.chdir({str(tmp_path)!r}); gpu_lock._COMMON_FOLDER = Path()"
    told = refusal(hold(preparation=f"{elsewhere}; os.setgroups([]); os.setuid({BOB})"))
    assert told.endswith(
        "(Permission denied: histsearch-GPU-a.lock); let user "
        f"{ALICE}, who made it, remove that file\n"
    )


def test_without_a_folder_of_all_users_the_lock_lies_in_ones_own(
    hold: Hold, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    assert has_it(
        hold(
            preparation="gpu_lock._COMMON_FOLDER = Path('/nowhere');"
            f"import tempfile; tempfile.tempdir = {str(own)!r}"
        )
    )
    assert [file.name for file in own.iterdir()] == ["histsearch-GPU-a.lock"]
