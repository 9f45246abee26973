"""Training on images that are kept decoded: the same curve, bit for bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from histsearch.data import cache_store, image_set
from histsearch.data.image_cache import ImageCache
from histsearch.space.reading import parse_space
from histsearch.training.run_inputs import (
    find_run_parts,
    load_images,
    run_settings,
    split_images,
)
from histsearch.training.trainer import Trainer


def curve(
    space_table: dict[str, Any],
    data_dir: Path,
    cache: ImageCache | None,
    loader_processes: int = 0,
) -> tuple[list[tuple[float, float | None]], list[Tensor]]:
    """Loss and score of each epoch, and the weights after the last."""
    space = parse_space(space_table, source="test")
    settings = run_settings(space, {}, find_run_parts(space, data_dir), seed=3)
    dataset = load_images(space, data_dir, loader_processes, cache)
    train, validation, gallery = split_images(dataset, space.protocol)
    trainer = Trainer(
        settings, train, device=torch.device("cpu"), loader_processes=loader_processes
    )
    epochs = [(epoch.loss, epoch.score) for epoch in trainer.epochs(validation, gallery)]
    return epochs, [weights.detach().clone() for weights in trainer.network.parameters()]


@pytest.mark.parametrize("cap", [None, 20])
def test_a_curve_is_bit_for_bit_the_same_with_and_without_kept_images(
    stripes: dict[str, Any],
    data_dir: Path,
    tmp_path: Path,
    cap: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space = {**stripes, "epochs": 2}
    if cap is not None:
        space["image_size_cap"] = cap
    cache = ImageCache(tmp_path / "images")
    expected = curve(space, data_dir, None)
    made = curve(space, data_dir, cache)
    in_processes = curve(space, data_dir, cache, loader_processes=2)
    # From now on nothing is decoded.
    monkeypatch.setattr(cache_store, "decode", None)
    monkeypatch.setattr(image_set, "decode", None)
    found = curve(space, data_dir, cache)
    for epochs, weights in (made, in_processes, found):
        assert epochs == expected[0]
        assert all(torch.equal(a, b) for a, b in zip(weights, expected[1], strict=True))


def test_a_cap_changes_what_is_trained_on(stripes: dict[str, Any], data_dir: Path) -> None:
    whole, capped = (
        curve({**stripes, "epochs": 1, **cap}, data_dir, None)[0]
        for cap in ({}, {"image_size_cap": 20})
    )
    assert whole[0][0] != capped[0][0]
