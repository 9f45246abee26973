import json
import os
import subprocess
import sys


def visible_gpus_after(statements: str) -> dict[str, str | None]:
    script = (
        "import json, os, sys, types\n"
        "from histsearch.workers.gpu import Gpu, hide_gpus, pin_to_gpu\n"
        "second = Gpu(index=1, uuid='GPU-bbbb', name='NVIDIA A100', memory_mib=81920)\n"
        f"{statements}\n"
        "print(json.dumps({name: value for name, value in os.environ.items() "
        "if name.startswith('CUDA_')}))\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")}
    result = subprocess.run(
        [sys.executable, "-c", script], env=clean, capture_output=True, text=True, check=True
    )
    variables: dict[str, str | None] = json.loads(result.stdout)
    return variables


def test_pinned_process_sees_its_gpu_alone() -> None:
    assert visible_gpus_after("pin_to_gpu(second)") == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "GPU-bbbb",
    }


def test_process_of_a_cpu_worker_sees_no_gpu() -> None:
    assert visible_gpus_after("hide_gpus()") == {"CUDA_VISIBLE_DEVICES": ""}


def test_process_is_not_pinned_once_torch_is_loaded() -> None:
    pinned_late = (
        "sys.modules['torch'] = types.ModuleType('torch')\n"
        "try:\n"
        "    pin_to_gpu(second)\n"
        "except RuntimeError as error:\n"
        "    assert 'before torch is imported' in str(error)\n"
        "else:\n"
        "    raise AssertionError('pinned after torch was imported')"
    )
    assert visible_gpus_after(pinned_late) == {}
