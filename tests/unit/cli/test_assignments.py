import pytest

from histsearch.cli.options import assignments
from histsearch.exceptions import SpaceError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("tau=24", 24),
        ("lr=1e-4", 1e-4),
        ("lr=.1", 0.1),
        ("bn_freeze=True", True),
        ("bn_freeze=false", False),
        ("distance=cosine", "cosine"),
        ('distance="cosine"', "cosine"),
        ("tau=[1, 2]", [1, 2]),
        ("tau=16\nalpha=3", "16\nalpha=3"),
    ],
)
def test_a_value_is_read_as_people_mean_it(text: str, value: object) -> None:
    (read,) = assignments([text]).values()
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("[" * 60_000, "hundreds of brackets one within another"),
        ("{a = " * 20_000, "hundreds of brackets one within another"),
        ("9" * 5_000, "a number of thousands of digits"),
        ("{a" + ".b" * 60_000 + " = 1}", "60,000 dots in line 1"),
    ],
)
def test_a_value_beyond_the_limits_of_a_space_is_refused(value: str, found: str) -> None:
    with pytest.raises(SpaceError) as error:
        assignments([f"tau={value}"])
    assert str(error.value).startswith(f"tau: found {found}, allowed: ")


@pytest.mark.parametrize("texts", [["tau"], ["=3"], ["tau="], ["tau=1", "tau=2"]])
def test_what_is_no_assignment_is_refused(texts: list[str]) -> None:
    with pytest.raises(SpaceError, match=r"KEY=VALUE|twice"):
        assignments(texts)
