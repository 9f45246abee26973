"""Saves a run's states from a thread of its own, so that training hardly waits for them."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from histsearch.training.host_copy import HostCopy
from histsearch.training.run_states import RunStates


class StateWriter:
    """Copies the states of one run as they are handed over, and writes them one after another.

    At most one is being written and at most one waits, the newest: it takes the place of one that
    waited before it. So a store that is slower than the epochs skips some and holds up none, and
    the host holds two copies of a state at most; a third one where the store gathers it in memory.

    Args:
        states: Where they are kept.
        while_writing: Makes the context in which each is written, such as a watch.
    """

    def __init__(
        self,
        states: RunStates,
        while_writing: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._states = states
        self._while_writing = while_writing
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="state writer")
        self._lock = threading.Lock()
        self._free = [HostCopy(), HostCopy()]
        self._waiting: HostCopy | None = None
        self._newest: Future[bool] | None = None

    def save(self, state: Mapping[str, Any]) -> None:
        """Hand over a state, which may change as soon as this returns.

        Raises:
            StoreFullError: There was no room for an earlier one.
            Exception: Whatever else ended the writing of an earlier one.
        """
        if self._newest is not None and self._newest.done():
            self._newest.result()
        with self._lock:
            waiting, self._waiting = self._waiting, None
            host_copy = waiting or self._free.pop()
            host_copy.take(state)  # what can't be copied whole waits for nothing
            self._waiting = host_copy
            if waiting is None:
                self._newest = self._pool.submit(self._write)

    def settle(self) -> bool:
        """Wait until the newest state is durable; whether it could be written.

        Raises:
            StoreFullError: There is no room for it.
            Exception: Whatever else ended its writing.
        """
        return self._newest is not None and self._newest.result()

    @property
    def has_failed(self) -> bool:
        """Whether `save` and `settle` would raise an error of the writing."""
        newest = self._newest
        return newest is not None and newest.done() and newest.exception() is not None

    def close(self) -> None:
        """Wait until nothing is being written, and nothing waits to be."""
        self._pool.shutdown()

    def _write(self) -> bool:
        with self._lock:
            host_copy, self._waiting = self._waiting, None
        if host_copy is None:
            return False
        try:
            with self._while_writing():
                host_copy.wait()
                return self._states.save(host_copy.state)
        finally:
            with self._lock:
                self._free.append(host_copy)
