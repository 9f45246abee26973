from collections.abc import Iterator

import pytest

from tests.unit.models.short_networks import shorten


@pytest.fixture(scope="module")
def short_networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        yield
