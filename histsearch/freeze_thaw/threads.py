"""How many threads NumPy uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import RLock

from threadpoolctl import ThreadpoolController


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


_one_at_a_time = RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one of NumPy's threads: the matrices are small, and other workers need the cores."""
    with _one_at_a_time, _thread_pools().limit(limits=1, user_api="blas"):
        yield
