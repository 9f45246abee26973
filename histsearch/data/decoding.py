"""Image files to images in RGB mode, one by one or by several processes."""

import errno
import math
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image

from histsearch.data.file_system import check_plain
from histsearch.data.pixels import ToRGB, reference_rgb
from histsearch.exceptions import DataError
from histsearch.processes import end_with_parent

_NOT_THE_FILES_FAULT = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_FILES_A_PROCESS = 32
_FILES_A_TASK = 8
_TASKS_AHEAD = 3

_Result = TypeVar("_Result")


class UnreadableImageError(DataError):
    """An image file is missing, or holds no image that can be read.

    torch rebuilds what a loader process raised from the text of its traceback, which ends in the
    name of the class and the original message. Of such a text the message alone is kept.
    """

    def __init__(self, message: str) -> None:
        _, _, original = message.rpartition(f"{__name__}.{type(self).__name__}: ")
        super().__init__(original.rstrip("\n"))


def decode(path: Path, to_rgb: ToRGB = reference_rgb) -> Image.Image:
    """Read an image file in RGB mode.

    Raises:
        UnreadableImageError: If the file is missing, is no plain file or holds no image that can be
            read.
        OSError: If this process may open no more files, or has no memory left.
    """
    return _read(path, to_rgb)


def size_of(path: Path) -> tuple[int, int]:
    """The width and height that an image file says it has; raises as `decode` does."""
    return _read(path, lambda image: image.size)


def _read(path: Path, function: Callable[[Image.Image], _Result]) -> _Result:
    try:
        check_plain(path)
        with Image.open(path) as image:
            return function(image)
    # Pillow reports damaged files with any of these, depending on the format.
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno in _NOT_THE_FILES_FAULT:
            raise
        raise UnreadableImageError(
            f"The image {path} can't be read ({error}): replace it, remove it from the data set, "
            'or set on_bad_image = "skip" in the space.'
        ) from error


def of_each_file(
    function: Callable[[Path], _Result], paths: Sequence[Path], processes: int
) -> Iterator[_Result]:
    """Yield what a function gives for each file, in order.

    Args:
        function: What is called, in another process maybe.
        paths: The files.
        processes: Processes that work, no more than there is work for; with 0 or 1 this one does.
    """
    processes = min(processes, math.ceil(len(paths) / _FILES_A_PROCESS))
    if processes <= 1:
        yield from map(function, paths)
        return
    # A forked copy of a process that has threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        tasks = (paths[at : at + _FILES_A_TASK] for at in range(0, len(paths), _FILES_A_TASK))
        # Results wait for the consumer in memory, so no more are made than it will soon take.
        ahead: deque[Future[list[_Result]]] = deque()
        for task in tasks:
            ahead.append(pool.submit(_results, function, task))
            if len(ahead) > processes * _TASKS_AHEAD:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def _results(function: Callable[[Path], _Result], paths: Sequence[Path]) -> list[_Result]:
    return [function(path) for path in paths]
