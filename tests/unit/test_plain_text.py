import pytest

from histsearch.plain_text import is_plain, one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("bell\x07 back\x08 nul\0 del\x7f", r"bell\x07 back\x08 nul\x00 del\x7f"),
        ("c1 \x9b2J", r"c1 \x9b2J"),
        ("cat\u202egnp.exe", r"cat\u202egnp.exe"),
        ("\u2066isolated\u2069 \u200fmark \ufeffbom \u200bspace", None),
        ("two\nlines\rhere\ttab", r"two\nlines\rhere\ttab"),
        ("para\u2029line\u2028", r"para\u2029line\u2028"),
        ("latin-1 name \udce9", r"latin-1 name \udce9"),
        ("tag \U000e0041", r"tag \U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_is_made_visible(text: str, shown: str | None) -> None:
    assert one_line(text).isprintable()
    assert shown is None or one_line(text) == shown
    assert not is_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "é e\u0301 日本 τ λs 63.1 ± 0.8 × ½ “quoted” עברית العربية हिन्दी",
        "no-break\u00a0space",
        "👩\u200d🔬 ❤\ufe0f",
        "می\u200cخواهم",
        r"folder:[red]t8 :smile: C:\x1b",
    ],
)
def test_letters_and_symbols_stay_as_they_are(text: str) -> None:
    assert one_line(text) == text == visible(text)
    assert is_plain(text)


def test_the_lines_of_a_longer_text_stay() -> None:
    assert visible("first\n\tsecond \x1b[2J\nthird\r") == "first\n\tsecond \\x1b[2J\nthird\\r"
