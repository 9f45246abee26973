import socket
from pathlib import Path

import pytest

from tests.acceptance.processes import Run


def test_an_unreachable_database_is_one_line_and_exit_code_2(run: Run) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        url = f"postgresql://someone:hunter2@127.0.0.1:{port}/db"
        refused = run("study", "list", "--storage", url, code=2)
    assert refused.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "hunter2" not in refused.stderr + refused.stdout


def test_another_dialect_is_refused_with_the_reason(run: Run) -> None:
    refused = run("study", "list", HISTSEARCH_STORAGE="sqlite:///studies.db", code=2)
    assert "sqlite" in refused.stderr
    assert "because" in refused.stderr


def test_a_password_is_never_printed(run: Run) -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:5432/db"
    shown = run("db", "url", "--storage", url)
    assert "someone:***@127.0.0.1" in shown.stdout
    assert "hunter2" not in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("worker",), "name the device"),
        (("worker", "--gpu", "99"), "GPU"),
        (("worker", "--gpu", "0", "--share"), "--slots N"),
        (("worker", "--device", "cpu", "--slots", "0"), "--slots"),
        (("worker", "--device", "cpu", "--checkpoints", "gs://models"), "s3://BUCKET"),
        (("study", "create", "no-such-space"), "found no space"),
        (("study", "show", "no-such-study"), "found no study"),
        (("study", "enqueue", "no-such-study", "tau"), "KEY=VALUE"),
        (("worker", "--device", "cpu", "--study", "no-such-study"), "found no study"),
    ],
)
@pytest.mark.usefixtures("storage")
def test_bad_input_is_one_sentence(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    refused = run(*arguments, code=2)
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.usefixtures("storage")
def test_a_study_that_no_slot_could_serve_is_refused_once_before_any_starts(run: Run) -> None:
    refused = run("worker", "--device", "cpu", "--slots", "2", "--study", "nope", code=2)
    (line,) = refused.stderr.splitlines()
    assert line.startswith('error: found no study "nope"')


@pytest.mark.usefixtures("storage")
def test_a_port_in_use_is_one_sentence(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = run("dashboard", "--port", port, code=2)
    assert refused.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in refused.stderr


def test_a_bad_space_names_file_key_and_what_is_allowed(run: Run, stripes_file: Path) -> None:
    stripes_file.write_text(stripes_file.read_text().replace("tau = [8, 16, 32]", "tua = [8]"))
    refused = run("study", "create", str(stripes_file), code=2)
    assert str(stripes_file) in refused.stderr
    assert 'did you mean "tau"?' in refused.stderr
