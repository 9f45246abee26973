"""A copy of a run's state in the host's memory, so that the run can go on while it is written."""

import copy
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

_Path = tuple[Hashable, ...]


class HostCopy:
    """A state as it was at one moment, in memory that the next state is copied to as well.

    New memory costs several times the copy itself: the system clears each page as it is touched.

    Attributes:
        state: The state that was taken last; its tensors are on the CPU.
    """

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._tensors: dict[_Path, Tensor] = {}
        self._copied: dict[torch.device, torch.cuda.Event] = {}

    def take(self, state: Mapping[str, Any]) -> None:
        """Copy a state: mappings, lists and tuples of tensors and of values that never change.

        What is on a GPU is copied in the order of its stream, before whatever is queued there from
        now on; `wait` until it is here.
        """
        self._copied = {}
        self.state = self._copy(state, ())
        for device in self._copied:
            self._copied[device].record(torch.cuda.current_stream(device))

    def wait(self) -> None:
        """Wait until the state is here, be it from another thread than the one that took it."""
        for event in self._copied.values():
            event.synchronize()

    def _copy(self, value: Any, path: _Path) -> Any:
        if isinstance(value, Tensor):
            return self._copy_tensor(value, path)
        if isinstance(value, Mapping):
            copied: Any = copy.copy(value)  # a module's state carries versions beside its tensors
            for key, one in value.items():
                copied[key] = self._copy(one, (*path, key))
            return copied
        if isinstance(value, list | tuple):
            return type(value)(self._copy(one, (*path, i)) for i, one in enumerate(value))
        return value

    def _copy_tensor(self, tensor: Tensor, path: _Path) -> Tensor:
        on_gpu = tensor.device.type == "cuda"
        tensor = tensor.detach()
        kept = self._tensors.get(path)
        if kept is None or (kept.shape, kept.dtype) != (tensor.shape, tensor.dtype):
            kept = torch.empty_like(tensor, device="cpu", pin_memory=on_gpu)
            self._tensors[path] = kept
        if on_gpu and tensor.device not in self._copied:
            self._copied[tensor.device] = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        return kept.copy_(tensor, non_blocking=on_gpu)
