import io
import json
import sys
from pathlib import Path

import pytest

from histsearch.cli import main
from histsearch.cli.output import console, echo, echo_data, print_table, table, text
from histsearch.exceptions import DataError

HOSTILE = "a\nb \x1b[2J[/x] [red]r[/red] :smile: \u202e"
SHOWN = r"a\nb \x1b[2J[/x] [red]r[/red] :smile: \u202e"


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    echo(HOSTILE)
    echo(HOSTILE, err=True)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (SHOWN + "\n", SHOWN + "\n")


def test_no_markup_is_read_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(table((HOSTILE, "é"), [("[/x]y", "日本 ± τ"), (HOSTILE, "")]))
    header, first, second = capsys.readouterr().out.splitlines()
    assert (header.split("  ")[0], header.split()[-1]) == (SHOWN, "é")
    assert first.split("  ")[0] == "[/x]y"
    assert first.rstrip().endswith("日本 ± τ")
    assert second.strip() == SHOWN


def test_no_markup_is_read_in_a_line_on_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    console(200).print(text(HOSTILE))
    console(200).print("[/x] [red]r :smile: 12")
    assert capsys.readouterr().out.splitlines() == [SHOWN, "[/x] [red]r :smile: 12"]


def test_data_for_programs_stay_exact_but_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = "number,reason\r\n0,\x1b[2J\r\n"
    echo_data(document)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    echo_data(document)
    assert capsys.readouterr().out == document + "\n" + "number,reason\n0,\\x1b[2J\n\n"


def test_json_is_plain_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    echo_data(json.dumps({"name": HOSTILE + "\x7f\udcff"}))
    printed = capsys.readouterr().out
    assert printed.strip().isprintable()
    assert json.loads(printed) == {"name": HOSTILE + "\x7f\udcff"}


def test_an_error_shows_a_name_as_text_and_its_own_lines_as_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DataError(f"{HOSTILE} has faults:", "  first", f"  {HOSTILE}")

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == main.EXIT_CODE
    assert capsys.readouterr().err.splitlines() == [
        f"error: {SHOWN} has faults:",
        "  first",
        f"  {SHOWN}",
    ]


def test_a_terminal_that_lacks_a_character_gets_its_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ł").mkdir()
    (tmp_path / "ł" / "split.csv").touch()
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    monkeypatch.setattr(sys, "argv", ["histsearch", "data", "list", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert not end.value.code
    sys.stdout.flush()
    assert rb"folder:\u0142" in written.getvalue()
