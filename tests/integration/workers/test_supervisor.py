import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from histsearch.workers import exit_codes

# What a stand-in does when it is started: the first of its plan at its first start and so on.
WELL = "sys.exit(0)"
FAULT = "sys.exit(69)"
CRASH = "sys.exit(1)"
STALL = "sys.exit(74)"
USER_ERROR = "sys.exit(2)"
LACK = "sys.exit(71)"
WORK_LEFT = "sys.exit(75)"
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
RUN = "run(stops=1)"

STAND_IN = """#!{python}
import json, os, pathlib, signal, sys
slot = json.loads(os.environ["HISTSEARCH_SLOT"])
uuid = sys.argv[5] + (f"-{{slot['number']}}" if slot["slots"] > 1 else "")
starts = pathlib.Path({folder!r}) / uuid
with starts.open("a") as file:
    print(*sys.argv[1:], os.environ["HISTSEARCH_STORAGE"], file=file)
def say(what):
    os.write(1, f"{{uuid}} {{what}}\\n".encode())
def tell(pace):
    report = {{"number": slot["number"], "pace": pace}}
    os.write(slot["reports"], f"{{json.dumps(report)}}\\n".encode())
def run(stops):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    say("ready")
    for number in range(1, stops + 1):
        signal.sigwait([signal.SIGTERM])
        say(f"stop {{number}}")
plan = {plans!r}[uuid]
exec(plan[min(len(starts.read_text().splitlines()), len(plan)) - 1])
"""
PROGRAM = """
import logging, sys
from pathlib import Path
from histsearch.exceptions import DeviceError
from histsearch.workers import gpu_lock, supervisor
from histsearch.workers.gpu import Gpu
logging.basicConfig(format="%(levelname)s %(message)s", level={level!r})
gpu_lock._COMMON_FOLDER = Path({folder!r})
sys.executable = {stand_in!r}
for name, value in {policy!r}.items():
    setattr(supervisor, name, value)
supervisor.used_memory_mib = lambda gpu: {used!r}
gpus = [Gpu(index, uuid, "H200", 1) for index, uuid in enumerate({uuids!r})]
try:
    code = supervisor.supervise(
        gpus or [None],
        {slots},
        lambda place: ["--drain", f"--port={{9000 + place}}"],
        {{"HISTSEARCH_STORAGE": "the-url"}},
    )
except DeviceError as error:
    sys.exit(f"refused: {{error}}")
sys.exit(code)
"""


Start = Callable[..., tuple[subprocess.Popen[str], Iterator[str]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a supervisor of one stand-in for each plan; gives the lines that all of them print.

    Plans are named by their GPU; by it and the number of the slot, where there are several.
    """
    with ExitStack() as at_the_end:

        def start_supervisor(
            plans: Mapping[str, Sequence[str]],
            slots: int = 1,
            used: int | None = None,
            level: str = "WARNING",
            **policy: float,
        ) -> tuple[subprocess.Popen[str], Iterator[str]]:
            stand_in = tmp_path / "stand_in"
            stand_in.write_text(
                STAND_IN.format(python=sys.executable, folder=str(tmp_path), plans=plans)
            )
            stand_in.chmod(0o755)
            program = PROGRAM.format(
                stand_in=str(stand_in),
                policy={"FIRST_PAUSE_SECONDS": 0.01, **policy},
                folder=str(tmp_path),
                uuids=sorted({name[:5] for name in plans if name.startswith("GPU")}),
                slots=slots,
                used=used,
                level=level,
            )
            supervisor = at_the_end.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            at_the_end.callback(supervisor.kill)
            assert supervisor.stdout is not None
            return supervisor, iter(supervisor.stdout.readline, "")

        yield start_supervisor


def starts(folder: Path, uuid: str) -> list[str]:
    """How the stand-in was started, each time."""
    return (folder / uuid).read_text().splitlines()


def read_until(lines: Iterator[str], *wanted: str) -> None:
    missing = {f"{line}\n" for line in wanted}
    while missing:
        missing.discard(next(lines))


def test_each_gpu_gets_a_worker_with_its_arguments_and_the_storage_in_its_environment(
    start: Start,
    tmp_path: Path,
) -> None:
    supervisor, lines = start({"GPU-a": [WELL], "GPU-b": [WELL]})
    assert list(lines) == []
    assert supervisor.wait(timeout=60) == 0
    for uuid, port in (("GPU-a", 9000), ("GPU-b", 9001)):
        assert starts(tmp_path, uuid) == [
            f"-m histsearch worker --gpu {uuid} --drain --port={port} the-url"
        ]


def test_every_stop_signal_is_handed_on_to_every_worker(start: Start) -> None:
    twice = "run(stops=2)"
    supervisor, lines = start({"GPU-a": [twice], "GPU-b": [twice]})
    read_until(lines, "GPU-a ready", "GPU-b ready")
    supervisor.send_signal(signal.SIGTERM)
    read_until(lines, "GPU-a stop 1", "GPU-b stop 1")
    supervisor.send_signal(signal.SIGTERM)
    read_until(lines, "GPU-a stop 2", "GPU-b stop 2")
    assert supervisor.wait(timeout=60) == 0


def test_a_stop_that_leaves_work_on_any_gpu_shows_in_the_exit_code(
    start: Start, tmp_path: Path
) -> None:
    supervisor, lines = start({"GPU-a": [RUN], "GPU-b": [f"{RUN}; {WORK_LEFT}"]})
    read_until(lines, "GPU-a ready", "GPU-b ready")
    supervisor.send_signal(signal.SIGTERM)
    read_until(lines, "GPU-a stop 1", "GPU-b stop 1")
    assert list(lines) == []
    assert supervisor.wait(timeout=60) == 75
    assert len(starts(tmp_path, "GPU-b")) == 1


def test_a_worker_that_was_stopped_with_work_left_by_others_is_not_started_again(
    start: Start, tmp_path: Path
) -> None:
    supervisor, lines = start({"GPU-a": [USER_ERROR], "GPU-b": [WORK_LEFT], "GPU-c": [WELL]})
    (line,) = lines
    assert "GPU-a" in line
    assert supervisor.wait(timeout=60) == 75
    assert len(starts(tmp_path, "GPU-b")) == 1


def test_a_worker_that_does_not_end_after_a_stop_signal_is_killed(start: Start) -> None:
    supervisor, lines = start({"GPU-a": ["run(stops=2)"], "GPU-b": [RUN]}, KILL_SECONDS=0.5)
    read_until(lines, "GPU-a ready", "GPU-b ready")
    supervisor.send_signal(signal.SIGTERM)
    assert "ERROR the worker on GPU 0: H200, 1 MiB (GPU-a) doesn't end: it is killed\n" in lines
    assert supervisor.wait(timeout=60) == 75


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_a_stop_signal_ends_before_it_listens_has_ended_well(
    start: Start, number: signal.Signals
) -> None:
    deaf = "try: say('ready'); signal.pause()\nexcept KeyboardInterrupt: sys.exit(130)"
    supervisor, lines = start({"GPU-a": [deaf]})
    read_until(lines, "GPU-a ready")
    supervisor.send_signal(number)
    assert list(lines) == []
    assert supervisor.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (FAULT, "device error"),
        (KILLED, "killed by SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        (CRASH, "exit code 1"),
        (STALL, "its work hung"),
    ],
)
def test_a_worker_that_fails_is_started_again(
    start: Start, tmp_path: Path, failure: str, words: str
) -> None:
    supervisor, lines = start({"GPU-a": [failure, WELL]})
    assert list(lines) == [
        f"WARNING the worker on GPU 0: H200, 1 MiB (GPU-a) ended: {words}; "
        "it is started again in 0.01 s\n"
    ]
    assert supervisor.wait(timeout=60) == 0
    assert len(starts(tmp_path, "GPU-a")) == 2


def test_a_gpu_whose_worker_fails_again_and_again_is_out_of_service(
    start: Start, tmp_path: Path
) -> None:
    supervisor, lines = start({"GPU-a": [FAULT, KILLED, CRASH, FAULT, FAULT], "GPU-b": [RUN]})
    read_until(
        lines,
        "ERROR GPU 0: H200, 1 MiB (GPU-a) is out of service: its worker failed 5 times within 30 "
        "minutes (device error, killed by SIGKILL, exit code 1, device error, device error); look "
        "at nvidia-smi -q, then restart this supervisor",
    )
    assert supervisor.poll() is None
    supervisor.send_signal(signal.SIGTERM)
    read_until(lines, "GPU-b stop 1")
    assert list(lines) == []
    assert supervisor.wait(timeout=60) == 69
    assert len(starts(tmp_path, "GPU-a")) == 5
    assert len(starts(tmp_path, "GPU-b")) == 1


@pytest.mark.parametrize(
    ("failure", "cause"),
    [(STALL, "the disks of images and checkpoints, and nvidia-smi -q"), (KILLED, "the memory")],
)
def test_what_failed_every_time_says_what_to_look_at(
    start: Start, failure: str, cause: str
) -> None:
    supervisor, lines = start({"GPU-a": [failure]})
    assert f"; look at {cause}" in list(lines)[-1]
    assert supervisor.wait(timeout=60) == 69


def test_failures_longer_ago_than_the_window_do_not_count(start: Start) -> None:
    supervisor, lines = start(
        {"GPU-a": [FAULT, FAULT, FAULT, FAULT, WELL]},
        FAILURE_WINDOW_SECONDS=0.0,
        LONGEST_PAUSE_SECONDS=0.04,
    )
    pauses = [line.split()[-2] for line in lines]
    assert pauses == ["0.01", "0.02", "0.04", "0.04"]
    assert supervisor.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        (USER_ERROR, 2, "exit code 2"),
        (LACK, 71, "short of something that trials need"),
    ],
)
def test_a_worker_that_ends_with_a_message_for_the_user_is_not_started_again(
    start: Start, tmp_path: Path, end: str, code: int, words: str
) -> None:
    supervisor, lines = start({"GPU-a": [end], "GPU-b": [FAULT, WELL]})
    assert f"ERROR the worker on GPU 0: H200, 1 MiB (GPU-a) ended: {words}\n" in list(lines)
    assert supervisor.wait(timeout=60) == code
    assert len(starts(tmp_path, "GPU-a")) == 1
    assert len(starts(tmp_path, "GPU-b")) == 2


def test_a_stop_signal_ends_the_pause_before_a_new_start(start: Start, tmp_path: Path) -> None:
    supervisor, lines = start({"GPU-a": [FAULT]}, FIRST_PAUSE_SECONDS=3600.0)
    assert "started again in 3600 s" in next(lines)
    supervisor.send_signal(signal.SIGINT)
    assert list(lines) == []
    assert supervisor.wait(timeout=60) == exit_codes.WORK_LEFT
    assert len(starts(tmp_path, "GPU-a")) == 1


@pytest.mark.parametrize(("failure", "code"), [(FAULT, 69), (CRASH, 1), (KILLED, 137)])
def test_a_worker_that_fails_after_a_stop_signal_shows_in_the_exit_code(
    start: Start, tmp_path: Path, failure: str, code: int
) -> None:
    supervisor, lines = start({"GPU-a": [f"{RUN}; {failure}"]})
    read_until(lines, "GPU-a ready")
    supervisor.send_signal(signal.SIGTERM)
    read_until(lines, "GPU-a stop 1")
    assert "ERROR the worker on GPU 0: H200, 1 MiB (GPU-a) ended: " in next(lines)
    assert supervisor.wait(timeout=60) == code
    assert len(starts(tmp_path, "GPU-a")) == 1


def test_workers_end_in_good_order_when_their_supervisor_is_killed(start: Start) -> None:
    supervisor, lines = start({"GPU-a": [RUN], "GPU-b": [RUN]})
    read_until(lines, "GPU-a ready", "GPU-b ready")
    supervisor.kill()
    read_until(lines, "GPU-a stop 1", "GPU-b stop 1")
    # The pipe closes with the last process that writes to it.
    assert list(lines) == []
    assert supervisor.wait(timeout=60) == -signal.SIGKILL


def test_each_slot_gets_a_worker_with_its_own_place(start: Start, tmp_path: Path) -> None:
    names = [f"GPU-{gpu}-{number}" for gpu in "ab" for number in (1, 2)]
    supervisor, lines = start({name: [WELL] for name in names}, slots=2)
    assert list(lines) == []
    assert supervisor.wait(timeout=60) == 0
    for place, name in enumerate(names):
        port = 9000 + place
        assert starts(tmp_path, name) == [
            f"-m histsearch worker --gpu {name[:5]} --drain --port={port} the-url"
        ]


def test_slots_of_the_processor_are_supervised_too(start: Start, tmp_path: Path) -> None:
    supervisor, lines = start({"cpu-1": [WELL], "cpu-2": [CRASH, WELL]}, slots=2)
    (line,) = lines
    assert line.startswith("WARNING the worker on slot 2 of the CPU ended: exit code 1; ")
    assert supervisor.wait(timeout=60) == 0
    (arguments,) = starts(tmp_path, "cpu-1")
    assert arguments == "-m histsearch worker --device cpu --drain --port=9000 the-url"


def test_a_slot_that_dies_is_started_again_and_the_other_goes_on(
    start: Start, tmp_path: Path
) -> None:
    supervisor, lines = start({"GPU-a-1": [KILLED, RUN], "GPU-a-2": [RUN]}, slots=2)
    read_until(lines, "GPU-a-1 ready", "GPU-a-2 ready")
    assert len(starts(tmp_path, "GPU-a-1")) == 2
    assert len(starts(tmp_path, "GPU-a-2")) == 1
    supervisor.send_signal(signal.SIGTERM)
    read_until(lines, "GPU-a-1 stop 1", "GPU-a-2 stop 1")
    assert supervisor.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("device", "failure", "cause"),
    [
        ("cpu", CRASH, "what its log says"),
        ("cpu", STALL, "the disks of images and checkpoints"),
        ("cpu", KILLED, "the memory that is left here"),
    ],
)
def test_a_slot_that_fails_again_and_again_is_out_of_service(
    start: Start, device: str, failure: str, cause: str
) -> None:
    supervisor, lines = start({f"{device}-1": [failure], f"{device}-2": [WELL]}, slots=2)
    *_, last = lines
    assert last.startswith("ERROR slot 1 of the CPU is out of service: its worker failed 5 times")
    assert f"; look at {cause}" in last
    assert "nvidia-smi" not in last
    assert supervisor.wait(timeout=60) == 69


def test_a_second_supervisor_of_a_gpu_is_refused_until_the_first_has_no_worker_left(
    start: Start, tmp_path: Path
) -> None:
    first, lines = start({"GPU-a-1": [RUN], "GPU-a-2": [RUN]}, slots=2)
    read_until(lines, "GPU-a-1 ready", "GPU-a-2 ready")
    second, refusal = start({"GPU-a": [WELL]})
    assert "refused: another histsearch worker holds GPU 0: H200" in next(refusal)
    assert second.wait(timeout=60) == 1
    first.kill()
    first.wait(timeout=60)
    list(lines)  # until the last of its workers has ended
    third, _ = start({"GPU-a": [WELL]})
    assert third.wait(timeout=60) == 0
    assert len(starts(tmp_path, "GPU-a")) == 1


def test_of_several_gpus_those_that_others_hold_are_named_and_the_rest_work(
    start: Start, tmp_path: Path
) -> None:
    _, lines = start({"GPU-a": [RUN]})
    read_until(lines, "GPU-a ready")
    second, told = start({"GPU-a": [RUN], "GPU-b": [WELL]})
    (line,) = told
    assert line.startswith("ERROR another histsearch worker holds GPU 0: H200, 1 MiB (GPU-a); ")
    assert second.wait(timeout=60) == exit_codes.USER_ERROR
    assert len(starts(tmp_path, "GPU-a")) == len(starts(tmp_path, "GPU-b")) == 1


def pace(images_per_second: float, memory_mib: int) -> str:
    return f"tell({{'images_per_second': {images_per_second}, 'memory_mib': {memory_mib}}})"


def test_all_slots_together_are_summed_up_once_each_has_told(start: Start) -> None:
    plans = {
        "GPU-a-1": [f"{pace(400.4, 4000)}; {pace(410.4, 4100)}; run(stops=2)"],
        "GPU-a-2": [f"run(stops=1); {pace(400, 5000)}; run(stops=1)"],
    }
    supervisor, lines = start(plans, slots=2, used=11300, level="INFO")
    read_until(lines, "GPU-a-1 ready", "GPU-a-2 ready")
    supervisor.send_signal(signal.SIGTERM)
    read_until(
        lines,
        "GPU-a-1 stop 1",
        "GPU-a-2 ready",
        "INFO GPU 0: 810 images/s on 2 slots together (410 + 400), peaks of 9100 MiB; 11300 of 1 "
        "MiB in use",
    )
    supervisor.send_signal(signal.SIGTERM)
    assert not [line for line in lines if "images/s" in line]
    assert supervisor.wait(timeout=60) == 0
