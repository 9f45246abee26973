from typing import Any

import pytest

from histsearch.space.configuration import Value
from histsearch.space.reading import parse_space
from histsearch.space.space import Space
from histsearch.workers.deaths import Deaths


def space(**changes: Any) -> Space:
    table: dict[str, Any] = {
        "name": "deaths",
        "dataset": "glyphs",
        "backbone": "conv4",
        "epochs": 1,
        "trials": 1,
        "search": {"tau": [8, 16, 32], "batch_size": [8, 16, 32]},
    }
    return parse_space({**table, **changes}, source="test")


def configurations(*batch_sizes: int) -> list[dict[str, Value]]:
    return [{"tau": 8 * 2**place, "batch_size": one} for place, one in enumerate(batch_sizes)]


@pytest.mark.parametrize(
    ("batch_sizes", "too_many"), [((32, 8), False), ((32, 16, 8), True), ((32, 16, 16), False)]
)
def test_three_configurations_are_too_many_if_one_has_the_smallest_batch(
    batch_sizes: tuple[int, ...], too_many: bool
) -> None:
    deaths = Deaths(space())
    for number, configuration in enumerate(configurations(*batch_sizes)):
        deaths.note_lack(number, configuration)
    assert deaths.are_too_many is too_many


def test_ten_configurations_are_too_many_whatever_their_batch() -> None:
    deaths = Deaths(space(search={"batch_size": {"low": 8, "high": 128}}))
    enough = []
    for batch_size in range(9, 19):
        deaths.note_lack(batch_size, {"batch_size": batch_size})
        enough.append(deaths.are_too_many)
    assert enough == [*[False] * 9, True]
    assert str(deaths) == "10 configurations died here in a row"


def test_a_trial_is_tried_three_times_where_nothing_else_is_left() -> None:
    deaths = Deaths(space(fixed={"batch_size": 8}, search={"tau": [8, 16]}))
    enough = []
    for _ in range(3):
        deaths.note_lack(0, {"tau": 8})
        enough.append(deaths.are_too_many)
    assert enough == [False, False, True]
    assert str(deaths) == "the same configuration died here 3 times in a row"


def test_an_epoch_begins_the_count_anew_and_then_every_lack_tells() -> None:
    deaths = Deaths(space())
    first, second, third = configurations(8, 8, 8)
    deaths.note_lack(0, first)
    deaths.note_lack(1, second)
    deaths.note_epoch()
    deaths.note_lack(2, third)
    enough = [deaths.are_too_many]
    for number, configuration in enumerate(configurations(32, 32, 32)):
        deaths.note_lack(number, configuration)
    enough.append(deaths.are_too_many)
    assert enough == [False, True]


def test_crashes_tell_of_the_machine_only_before_it_has_trained() -> None:
    deaths = Deaths(space())
    for configuration in configurations(32, 32, 32):
        deaths.note_crash(configuration)
        deaths.note_crash(configuration)
    enough = [deaths.are_too_many]
    deaths.note_epoch()
    for configuration in configurations(32, 32, 32):
        deaths.note_crash(configuration)
    enough.append(deaths.are_too_many)
    assert enough == [True, False]


@pytest.mark.parametrize(("image_size", "too_many"), [(64, False), (32, True)])
def test_the_smallest_batch_of_larger_images_need_not_run(image_size: int, too_many: bool) -> None:
    search = {"tau": [8, 16, 32], "batch_size": [8, 16], "image_size": [32, 64]}
    deaths = Deaths(space(search=search))
    for number, configuration in enumerate(configurations(8, 8, 8)):
        deaths.note_lack(number, configuration | {"image_size": image_size})
    assert deaths.are_too_many is too_many
