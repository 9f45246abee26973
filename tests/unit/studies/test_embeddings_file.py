import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histsearch.exceptions import CheckpointError
from histsearch.studies.embeddings_file import (
    EmbeddingsFile,
    LabelledImages,
    read_embeddings_file,
    write_embeddings_file,
)


def images(labels: list[int], class_names: tuple[str, ...], folder: str) -> LabelledImages:
    rng = np.random.default_rng(len(labels))
    return LabelledImages(
        rng.normal(size=(len(labels), 4)).astype(np.float16),
        np.array(labels, dtype=np.int32),
        class_names,
        tuple(f"{folder}/{number}.jpg" for number in range(len(labels))),
    )


def embeddings(gallery: LabelledImages | None = None) -> EmbeddingsFile:
    return EmbeddingsFile(
        queries=images([0, 0, 1, 1, 3], ("crow", "wren", "rook", 'jay "é"'), "birds"),
        gallery=gallery,
        train=images([0, 1], ("owl", "kite"), "birds"),
        nearest_N5=np.array([[1, 2, 3, 4, -1], *[[0, 2, 3, 4, -1]] * 4], dtype=np.int32),
        hit_N=np.array([True, False, True, True, False]),
        dataset="folder:birds",
    )


def written(content: EmbeddingsFile) -> bytes:
    file = io.BytesIO()
    write_embeddings_file(file, content)
    return file.getvalue()


def plain(content: EmbeddingsFile) -> Any:
    """A content as what compares."""
    parts = [
        part
        and (
            part.embedding_ND.dtype.str,
            part.embedding_ND.tolist(),
            part.label_N.tolist(),
            part.class_names,
            part.path_N,
        )
        for part in (content.queries, content.gallery, content.train)
    ]
    return parts, content.nearest_N5.tolist(), content.hit_N.tolist(), content.dataset


@pytest.mark.parametrize("has_gallery", [False, True])
def test_what_is_written_is_read(has_gallery: bool) -> None:
    content = embeddings(images([1, 0, 0, 2, 2], ("crow", "wren", "rook"), "g"))
    if not has_gallery:
        content = embeddings()
    again = read_embeddings_file(io.BytesIO(written(content)))
    assert plain(again) == plain(content)
    assert again.ranked is (again.gallery if has_gallery else again.queries)


def test_names_that_no_encoding_knows_are_kept() -> None:
    train = replace(embeddings().train, path_N=("birds/\udce9.jpg", ""))
    content = replace(embeddings(), train=train)
    assert plain(read_embeddings_file(io.BytesIO(written(content)))) == plain(content)


def test_the_recall_of_each_class_that_has_queries() -> None:
    assert embeddings().class_recall() == {"crow": 0.5, "wren": 1.0, 'jay "é"': 0.0}


def damage_found(content: bytes) -> CheckpointError | None:
    """What is told of a damaged file; None where the damage changes nothing."""
    try:
        again = read_embeddings_file(io.BytesIO(content))
    except CheckpointError as error:
        return error
    assert plain(again) == plain(embeddings())
    return None


def test_damage_is_told_in_a_sentence_or_changes_nothing() -> None:
    content = written(embeddings())
    rng = np.random.default_rng(0)
    found: list[CheckpointError] = []
    for place in rng.integers(len(content), size=600).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        found += filter(None, [damage_found(bytes(damaged))])
    assert len(found) > 400
    assert {len(one.lines) for one in found} == {1}
    assert all(str(one).startswith("found a damaged file of embeddings (") for one in found)


@pytest.mark.parametrize("content", [b"", b"no archive", written(embeddings())[:-30]])
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(CheckpointError, match="found a damaged file of embeddings"):
        read_embeddings_file(io.BytesIO(content))


def test_what_would_run_code_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "0.npz", text=np.array([None]))
    with (
        (tmp_path / "0.npz").open("rb") as file,
        pytest.raises(CheckpointError, match="Object arrays cannot be loaded"),
    ):
        read_embeddings_file(file)


def test_an_array_alone_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", np.zeros(3))
    with (
        (tmp_path / "0.npy").open("rb") as file,
        pytest.raises(CheckpointError, match="it is no archive of arrays"),
    ):
        read_embeddings_file(file)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: replace(one, hit_N=one.hit_N[1:]), r"hit is bool of shape \(4,\)"),
        (lambda one: replace(one, nearest_N5=one.nearest_N5 + 1), r"nearest holds numbers beyond"),
        (
            lambda one: replace(one, train=replace(one.train, class_names=("owl",))),
            r"train.label holds numbers beyond 0..0",
        ),
        (
            lambda one: replace(one, train=replace(one.train, path_N=("a",))),
            r"train.embedding is float16 of shape \(2, 4\), expected \(1, 4\)",
        ),
        (lambda one: replace(one, dataset=3), r"\(text.dataset: Input should be a valid string\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    change: Callable[[EmbeddingsFile], EmbeddingsFile], reason: str
) -> None:
    with pytest.raises(CheckpointError, match=reason):
        read_embeddings_file(io.BytesIO(written(change(embeddings()))))
