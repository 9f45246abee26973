"""Decoded images that several processes keep at once, or are killed while keeping."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histsearch.data import cache_store
from histsearch.data.cache_contents import kept_forms, remove
from histsearch.data.cache_files import NotKeptError
from histsearch.data.image_cache import ImageCache
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_set import ImageSet
from histsearch.data.pixels import reference_rgb

IMAGES = 40
LIMIT_SECONDS = 60

# Keeps the images of a folder; waits after the first few of them for as long as a file is there.
BUILDER = """
import json, logging, sys, time
from pathlib import Path

from histsearch.data.image_cache import ImageCache
from histsearch.data.image_forms import WholeImages
from tests.integration.data.test_image_cache import image_set

folder, processes = Path(sys.argv[1]), int(sys.argv[2])
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
decoded = 0

def on_image():
    global decoded
    decoded += 1
    if decoded == 5:
        (folder / "under-way").touch()
        while (folder / "wait").exists():
            time.sleep(0.01)

formed = image_set(folder, ImageCache(folder / "cache")).formed(WholeImages(), processes, on_image)
print(json.dumps([int(formed[i].sum()) for i in range(len(formed))]))
"""


def image_set(folder: Path, cache: ImageCache | None = None) -> ImageSet:
    images = ImageSet.from_files([(path, "a") for path in sorted(folder.glob("*.png"))])
    return images if cache is None else images.with_cache(cache.of("noise", folder))


def sums(images: ImageSet) -> list[int]:
    formed = images.formed(WholeImages())
    return [int(formed[index].sum()) for index in range(len(images))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        noise = rng.integers(0, 256, size=(30, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number:02d}.png")
    return tmp_path


@pytest.fixture
def builders(folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []
    yield running
    (folder / "wait").unlink(missing_ok=True)
    for process in running:
        process.kill()
        process.communicate()


def start(
    folder: Path, builders: list[subprocess.Popen[str]], processes: int = 0
) -> subprocess.Popen[str]:
    builders.append(
        subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(folder), str(processes)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    )
    return builders[-1]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.01)


def pixel_files(folder: Path) -> list[Path]:
    return list(folder.glob("cache/*/*.pixels"))


@pytest.mark.parametrize("processes", [0, 2])
def test_several_processes_keep_the_images_once(
    folder: Path, builders: list[subprocess.Popen[str]], processes: int
) -> None:
    (folder / "wait").touch()
    first = start(folder, builders, processes)
    wait_for(folder / "under-way")
    others = [start(folder, builders, processes) for _ in range(2)]
    for process in others:
        assert process.stderr is not None
        assert "waiting for another process" in process.stderr.readline()
    (folder / "wait").unlink()
    outputs = [process.communicate(timeout=LIMIT_SECONDS) for process in (first, *others)]
    assert [json.loads(output) for output, _ in outputs] == [sums(image_set(folder))] * 3
    assert [errors.count("keeping decoded images") for _, errors in outputs] == [1, 0, 0]
    assert len(pixel_files(folder)) == 1


def test_room_that_another_process_is_filling_is_taken_already(
    folder: Path, builders: list[subprocess.Popen[str]]
) -> None:
    whole = IMAGES * 30 * 40 * 3
    (folder / "wait").touch()
    first = start(folder, builders)
    wait_for(folder / "under-way")
    (growing,) = pixel_files(folder)
    assert growing.stat().st_blocks * 512 >= whole
    paths = sorted(folder.glob("*.png"))
    others = ImageCache(folder / "cache", int(1.5 * whole)).of("others", folder)
    with pytest.raises(NotKeptError, match=r"of the 216 kB allowed in .* 144 kB are used"):
        others.keep(paths, reference_rgb, WholeImages(), 0, int)
    (folder / "wait").unlink()
    output, _ = first.communicate(timeout=LIMIT_SECONDS)
    assert json.loads(output) == sums(image_set(folder))
    assert sum(form.size for form in kept_forms(folder / "cache")) < 1.5 * whole


def test_a_killed_process_leaves_no_lock_and_no_half(
    folder: Path, builders: list[subprocess.Popen[str]]
) -> None:
    (folder / "wait").touch()
    killed = start(folder, builders)
    wait_for(folder / "under-way")
    waiting = start(folder, builders)
    assert waiting.stderr is not None
    assert "waiting for another process" in waiting.stderr.readline()
    half = pixel_files(folder)
    (folder / "under-way").unlink()
    (folder / "wait").unlink()
    killed.send_signal(signal.SIGKILL)
    output, errors = waiting.communicate(timeout=LIMIT_SECONDS)
    assert json.loads(output) == sums(image_set(folder))
    assert "keeping decoded images" in errors
    assert len(pixel_files(folder)) == 1
    assert set(pixel_files(folder)).isdisjoint(half)
    assert [form.fault for form in kept_forms(folder / "cache")] == [""]


def test_a_process_that_keeps_images_and_hangs_is_not_waited_for_long(
    folder: Path,
    builders: list[subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (folder / "wait").touch()
    start(folder, builders)
    wait_for(folder / "under-way")
    monkeypatch.setattr(cache_store, "_STUCK_SECONDS", 0.3)
    assert sums(image_set(folder, ImageCache(folder / "cache"))) == sums(image_set(folder))
    (line,) = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert "aren't kept" in line
    assert "has written nothing for 0 s" in line
    # What is being made isn't removed.
    assert remove(folder / "cache") == (0, 1)
    assert len(pixel_files(folder)) == 1


def test_images_that_the_disk_has_no_room_for_are_decoded_each_time(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        assert sums(image_set(folder, ImageCache(folder / "cache"))) == sums(image_set(folder))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, usual)
    (line,) = caplog.messages
    assert "aren't kept" in line
    assert "File too large" in line
    assert pixel_files(folder) == []
