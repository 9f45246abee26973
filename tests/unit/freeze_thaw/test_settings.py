"""The model's settings have names."""

import numpy as np
import pytest

from histsearch.freeze_thaw.settings import NAMES, Settings, prior


@pytest.mark.parametrize("name", NAMES)
def test_each_shared_setting_is_found_and_moved_by_its_name(name: str) -> None:
    means, _ = prior(3, 2)
    settings = Settings(means + np.arange(len(means)), 2)
    moved = settings.moved(name, 0.25)
    assert getattr(settings, name) == settings.values_S[5 + NAMES.index(name)]
    assert getattr(moved, name) == getattr(settings, name) + 0.25
    assert np.count_nonzero(moved.values_S != settings.values_S) == 1
    assert moved.earlier == 2
