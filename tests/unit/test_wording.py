import pytest

from histsearch.wording import counted, duration_text, list_text, names_text, value_text


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "epoch", "1 epoch"),
        (0, "epoch", "0 epochs"),
        (12, "trial", "12 trials"),
        (5864, "image", "5,864 images"),
        (1, "class", "1 class"),
        (3, "test class", "3 test classes"),
        (1, "study", "1 study"),
        (2, "study", "2 studies"),
        ("1", "point", "1 point"),
        ("0.5", "point", "0.5 points"),
        ("1.0", "GPU-hour", "1.0 GPU-hours"),
        ("3, 4", "epoch", "3, 4 epochs"),
    ],
)
def test_a_count_has_its_noun(number: int | str, noun: str, text: str) -> None:
    assert counted(number, noun) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0003000000000000001, "0.0003"),
        (0.00046066102129245354, "0.0004607"),
        (4.6066102129245354e-05, "4.607e-05"),
        (1.1500000000000001, "1.15"),
        (123456.789, "123500.0"),
        (-0.1 - 0.2, "-0.3"),
        (24.0, "24.0"),
        (1e-05, "1e-05"),
        (0.123456, "0.123456"),
        (32, "32"),
        (123456789, "123456789"),
        (True, "True"),
        ("cosine", "cosine"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_a_value_has_few_digits_unless_people_wrote_them(value: object, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize("value", [0.00046066102129245354, 4.6066102129245354e-05, 98765.4321])
def test_a_shown_value_differs_by_less_than_a_thousandth(value: float) -> None:
    assert float(value_text(value)) == pytest.approx(value, rel=1e-3)


def test_different_values_of_a_list_look_different() -> None:
    assert list_text((1e-4, 0.00031622776601683794, 1e-3)) == "0.0001, 0.0003162, 0.001"
    assert list_text((0.12345678, 0.12345679)) == "0.12345678, 0.12345679"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (59.4 * 60, "59 min"),
        (59.6 * 60, "1 h"),
        (70 * 60, "1 h 10 min"),
        (3 * 3600 + 20 * 60, "3 h 20 min"),
        (48 * 3600, "2 d"),
        (53.4 * 3600, "2 d 5 h"),
    ],
)
def test_a_time_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(("names", "text"), [("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")])
def test_names_stand_in_a_sentence(names: str, text: str) -> None:
    assert names_text([*names]) == text
