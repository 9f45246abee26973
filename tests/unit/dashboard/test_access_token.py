import pytest

from histsearch.dashboard.access_token import TOKEN_VARIABLE, take_access_token
from histsearch.exceptions import HistsearchError


def test_a_token_is_random_at_each_start() -> None:
    queries = {take_access_token({}).query for _ in range(3)}
    assert len(queries) == 3
    assert min(map(len, queries)) > 40


def test_a_fixed_token_is_taken_out_of_the_environment() -> None:
    environment = {TOKEN_VARIABLE: "a+fixed/one&of=mine", "HOME": "/"}
    token = take_access_token(environment)
    assert token.query == "token=a%2Bfixed%2Fone%26of%3Dmine"
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", "found nothing"),
        ("fifteen-letters", "found 15 characters"),
        (" " * 20, "a space"),
        ("ein-schlüssel-mit-umlaut", "a character that isn't ASCII"),
    ],
)
def test_a_fixed_token_that_is_none_is_refused_and_not_shown(value: str, found: str) -> None:
    with pytest.raises(HistsearchError) as refused:
        take_access_token({TOKEN_VARIABLE: value})
    assert found in str(refused.value)
    assert "16 or more" in str(refused.value)
    assert not value.strip() or value not in str(refused.value)
