import os
import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
import torch
from histsearch.data.dataset import load_dataset
from histsearch.training.trainer import InterruptedRunError, Trainer
from histsearch.workers.stop_request import StopRequest
from tests.conv4_runs import conv4_run

torch.set_num_threads(1)
stop = StopRequest()
stop.listen()
trainer = Trainer(
    conv4_run(
        10000,
        {"batch_size": 8, "embedding_size": 16, "hgnn_hidden": 16, "bn_freeze": False},
    ),
    load_dataset("folder:stripes", Path(sys.argv[1])).train,
    device=torch.device("cpu"),
    loader_processes=1,
    should_stop=stop,
)
try:
    for epoch in trainer.epochs():
        print(epoch.number, flush=True)
except (InterruptedRunError, RuntimeError):  # the loader's process is stopped as well
    print("interrupted" if stop() else "broken", flush=True)
"""


def test_a_signal_to_the_whole_process_group_interrupts_a_run_cleanly(data_dir: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "1\n"
    os.killpg(run.pid, signal.SIGTERM)
    printed, errors = run.communicate(timeout=40)
    assert printed.splitlines()[-1] == "interrupted", errors
    assert run.returncode == 0
