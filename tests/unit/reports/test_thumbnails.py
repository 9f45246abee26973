"""The images that a report shows beside embeddings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histsearch.data.glyphs import read_glyphs
from histsearch.reports.document.thumbnails import thumbnails_of
from histsearch.studies.embeddings_file import EmbeddingsFile, LabelledImages


def of_glyphs() -> EmbeddingsFile:
    test = read_glyphs().test
    count = len(test)
    images = LabelledImages(
        np.zeros((count, 2), np.float16),
        test.labels_N.astype(np.int32),
        test.class_names,
        ("",) * count,
    )
    nearest_N5 = np.full((count, 5), -1, np.int32)
    return EmbeddingsFile(images, None, images, nearest_N5, np.ones(count, bool), "glyphs")


def test_images_without_files_are_drawn_anew(tmp_path: Path) -> None:
    found = of_glyphs()
    image = thumbnails_of(found, tmp_path)(found.queries, 7)
    assert image is not None
    assert np.array_equal(np.asarray(image), np.asarray(read_glyphs().test.image(7)))


def test_those_of_another_version_of_the_data_set_are_not_shown(tmp_path: Path) -> None:
    found = of_glyphs()
    other = replace(found, queries=replace(found.queries, label_N=found.queries.label_N[::-1]))
    assert thumbnails_of(other, tmp_path)(other.queries, 7) is None


@pytest.mark.parametrize("path", ["birds/one.png", "../one.png", "/etc/hostname", "birds"])
def test_only_files_below_the_folder_of_the_data_sets_are_shown(tmp_path: Path, path: str) -> None:
    data = tmp_path / "data"
    (data / "birds").mkdir(parents=True)
    for folder in (data / "birds", tmp_path):
        Image.new("RGB", (200, 100)).save(folder / "one.png")
    found = of_glyphs()
    queries = replace(found.queries, path_N=(path,) * len(found.queries.path_N))
    image = thumbnails_of(replace(found, queries=queries), data)(queries, 0)
    assert (image is not None) == (path == "birds/one.png")
