from types import SimpleNamespace

import pynvml
import pytest

from histsearch.exceptions import DeviceError
from histsearch.workers.gpu import (
    Gpu,
    count_machines_gpus,
    is_exclusive,
    list_gpus,
    select_gpus,
    used_memory_mib,
)

FIRST = Gpu(index=0, uuid="GPU-aaaa", name="NVIDIA H200", memory_mib=143771)
SECOND = Gpu(index=1, uuid="GPU-bbbb", name="NVIDIA A100", memory_mib=81920)


DIVIDED = Gpu(index=2, uuid="GPU-cccc", name="NVIDIA A100", memory_mib=81920)
INSTANCES = [
    Gpu(index=2, uuid=f"MIG-{letter * 4}", name="NVIDIA A100 MIG 3g.40gb", memory_mib=40192)
    for letter in "xy"
]


def instance(_: Gpu, number: int) -> Gpu:
    if number in (0, 2):  # a gap is usual
        return INSTANCES[number // 2]
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)


@pytest.fixture
def machine() -> list[Gpu]:
    return [FIRST, SECOND]


@pytest.fixture
def nvml_calls(machine: list[Gpu], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The machine has these GPUs; the list records when NVML was opened and closed."""
    calls: list[str] = []
    stubs = {
        "nvmlInit": lambda: calls.append("init"),
        "nvmlShutdown": lambda: calls.append("shutdown"),
        "nvmlDeviceGetCount": lambda: len(machine),
        "nvmlDeviceGetHandleByIndex": lambda index: machine[index],
        "nvmlDeviceGetUUID": lambda handle: handle.uuid,
        "nvmlDeviceGetName": lambda handle: handle.name,
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=handle.memory_mib * 2**20),
        "nvmlDeviceGetMigMode": lambda handle: [int(handle is DIVIDED)] * 2,
        "nvmlDeviceGetMaxMigDeviceCount": lambda _: 7,
        "nvmlDeviceGetMigDeviceHandleByIndex": instance,
    }
    for name, stub in stubs.items():
        monkeypatch.setattr(pynvml, name, stub)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return calls


def without_driver(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(code)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)


def test_gpus_are_listed_in_their_order_and_nvml_is_closed(nvml_calls: list[str]) -> None:
    assert list_gpus() == [FIRST, SECOND]
    assert nvml_calls == ["init", "shutdown"]


@pytest.mark.usefixtures("nvml_calls")
@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        ("0", [FIRST]),
        ("GPU-bbbb", [SECOND]),
        ("all", [FIRST, SECOND]),
        ("1,0", [SECOND, FIRST]),
        ("GPU-aaaa, 1", [FIRST, SECOND]),
    ],
)
def test_selection_names_gpus_by_index_or_uuid(selection: str, chosen: list[Gpu]) -> None:
    assert select_gpus(selection) == chosen


@pytest.mark.usefixtures("nvml_calls")
@pytest.mark.parametrize(
    ("selection", "unknown"), [("2", "2"), ("0,GPU-cccc", "GPU-cccc"), ("0,", ""), ("-1", "-1")]
)
def test_unknown_gpu_is_refused_with_those_there(selection: str, unknown: str) -> None:
    with pytest.raises(DeviceError) as refusal:
        select_gpus(selection)
    assert str(refusal.value) == (
        f'found no GPU "{unknown}"; this machine has 0: NVIDIA H200, 143771 MiB (GPU-aaaa); '
        "1: NVIDIA A100, 81920 MiB (GPU-bbbb)"
    )


@pytest.mark.usefixtures("nvml_calls")
@pytest.mark.parametrize("selection", ["0,0", "0,1,GPU-aaaa"])
def test_gpu_named_twice_is_refused(selection: str) -> None:
    with pytest.raises(DeviceError) as refusal:
        select_gpus(selection)
    assert str(refusal.value) == (f"found a GPU named twice in --gpu {selection}; name each once")


@pytest.mark.parametrize(
    "code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED]
)
def test_machine_without_a_driver_has_no_gpu_to_select(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    without_driver(monkeypatch, code)
    assert list_gpus() == []
    with pytest.raises(DeviceError) as refusal:
        select_gpus("0")
    assert str(refusal.value) == (
        "found no NVIDIA GPU on this machine, asked for --gpu 0; use --device cpu, or check "
        "nvidia-smi"
    )


@pytest.mark.usefixtures("nvml_calls")
@pytest.mark.parametrize(
    "code",
    [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_NO_PERMISSION, pynvml.NVML_ERROR_UNKNOWN],
)
def test_a_gpu_that_does_not_answer_is_left_out(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def name(handle: Gpu) -> str:
        if handle is FIRST:
            raise pynvml.NVMLError(code)
        return handle.name

    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", name)
    assert list_gpus() == [SECOND]
    with pytest.raises(DeviceError, match='found no GPU "0"'):
        select_gpus("0")


@pytest.mark.usefixtures("nvml_calls")
def test_a_machine_of_which_no_gpu_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> Gpu:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", fail)
    with pytest.raises(DeviceError, match="no GPU answers"):
        list_gpus()


@pytest.mark.usefixtures("nvml_calls")
@pytest.mark.parametrize(
    ("allowed", "uuids"),
    [
        ("1", ["GPU-bbbb"]),
        ("1,0", ["GPU-bbbb", "GPU-aaaa"]),
        ("GPU-b", ["GPU-bbbb"]),
        ("1, GPU-aaaa", ["GPU-bbbb", "GPU-aaaa"]),
        ("1,7,0", ["GPU-bbbb"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2", ["MIG-xxxx"]),
        ("MIG-yyyy,1", ["MIG-yyyy", "GPU-bbbb"]),
        (None, ["GPU-aaaa", "GPU-bbbb", "MIG-xxxx", "MIG-yyyy"]),
    ],
)
def test_only_what_the_allocation_allows_is_used_and_counted_from_0(
    machine: list[Gpu],
    allowed: str | None,
    uuids: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine.append(DIVIDED)
    if allowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    gpus = list_gpus()
    assert [gpu.uuid for gpu in gpus] == uuids
    if allowed is not None:
        assert [gpu.index for gpu in gpus] == list(range(len(gpus)))
    if gpus:
        assert select_gpus("all") == gpus
        assert select_gpus("0")[0].uuid == uuids[0]
        assert select_gpus(uuids[-1])[0].uuid == uuids[-1]
    assert count_machines_gpus() == 3


@pytest.mark.usefixtures("nvml_calls")
def test_what_the_allocation_excludes_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    for selection in ("1", "GPU-aaaa"):
        with pytest.raises(DeviceError) as refusal:
            select_gpus(selection)
        assert str(refusal.value) == (
            f'found no GPU "{selection}"; CUDA_VISIBLE_DEVICES="1" allows '
            "0: NVIDIA A100, 81920 MiB (GPU-bbbb)"
        )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match='found no NVIDIA GPU in CUDA_VISIBLE_DEVICES=""'):
        select_gpus("all")


def answering(monkeypatch: pytest.MonkeyPatch, name: str, answers: dict[str, object]) -> None:
    """Let NVML find the GPUs by UUID, and answer; what isn't answered isn't supported."""

    def answer(uuid: str) -> object:
        if uuid not in answers:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return answers[uuid]

    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: uuid)
    monkeypatch.setattr(pynvml, name, answer)


def test_the_compute_mode_of_one_process_is_told(
    nvml_calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: dict[str, object] = {
        FIRST.uuid: pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS,
        SECOND.uuid: pynvml.NVML_COMPUTEMODE_DEFAULT,
    }
    answering(monkeypatch, "nvmlDeviceGetComputeMode", modes)
    gpus = (FIRST, SECOND, INSTANCES[0])
    assert [is_exclusive(gpu) for gpu in gpus] == [True, False, False]
    assert nvml_calls == 3 * ["init", "shutdown"]


@pytest.mark.usefixtures("nvml_calls")
def test_the_memory_in_use_is_told_where_the_driver_knows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(
        monkeypatch, "nvmlDeviceGetMemoryInfo", {FIRST.uuid: SimpleNamespace(used=300 * 2**20)}
    )
    assert [used_memory_mib(gpu) for gpu in (FIRST, SECOND)] == [300, None]
    without_driver(monkeypatch, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    assert used_memory_mib(FIRST) is None
