import errno
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
from moto.server import ThreadedMotoServer
from optuna.trial import create_trial

from histsearch.database.storage import Storage
from histsearch.exceptions import CheckpointError, StoreFullError, StudyError
from histsearch.space.reading import load_space
from histsearch.studies.catalog import create_search
from histsearch.studies.embeddings_file import write_embeddings_file
from histsearch.studies.trial_embeddings import trial_embeddings
from histsearch.studies.trial_models import trial_model
from histsearch.studies.trial_record import CHECKPOINT, EMBEDDINGS, FIGURES
from histsearch.training.checkpoint_store import CheckpointStore, open_checkpoint_store
from histsearch.training.run_states import RunStates
from tests.unit.studies.test_embeddings_file import embeddings, plain


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """A server on this machine that speaks S3."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """What boto3 reads, and nothing of the user's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return monkeypatch


class Bucket:
    """An empty bucket, seen from outside."""

    def __init__(self, name: str) -> None:
        self._s3 = boto3.client("s3")
        self._s3.create_bucket(Bucket=name)
        self.name = name

    def keys(self) -> list[str]:
        listing = self._s3.list_objects_v2(Bucket=self.name)
        return [entry["Key"] for entry in listing.get("Contents", [])]

    def put(self, key: str, content: bytes) -> None:
        self._s3.put_object(Bucket=self.name, Key=key, Body=content)


@pytest.fixture
def bucket(s3_server: str, environment: pytest.MonkeyPatch) -> Bucket:
    environment.setenv("AWS_ENDPOINT_URL", s3_server)
    return Bucket(f"bucket-{uuid.uuid4()}")


@pytest.fixture(params=["folder", "s3", "s3 with a prefix"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "not yet" / "made")
    bucket: Bucket = request.getfixturevalue("bucket")
    return f"s3://{bucket.name}" + ("/check/points/" if request.param != "s3" else "")


def test_what_is_written_is_read_until_it_is_removed(location: str) -> None:
    store = open_checkpoint_store(location)
    key = "study/3/attempt-1/a.ckpt"
    assert store.read(key) is None
    store.remove(key)
    store.write(key, b"first")
    store.write(key, b"second")
    store.write("study/3/attempt-1/b.ckpt", b"another")
    assert open_checkpoint_store(location).read(key) == b"second"
    store.remove(key)
    assert store.read(key) is None
    assert store.read("study/3/attempt-1/b.ckpt") == b"another"
    assert store.place(key) == f"{location.rstrip('/')}/{key}"


def test_contents_are_listed_with_their_sizes(location: str) -> None:
    store = open_checkpoint_store(location)
    assert store.contents() == []
    for number in range(3):
        store.write(f"birds-2/{number}.run/a.ckpt", b"content")
    store.write("cars/0.pt", b"")
    birds = [(f"birds-2/{number}.run/a.ckpt", 7) for number in range(3)]
    assert sorted(store.contents()) == [*birds, ("cars/0.pt", 0)]
    assert sorted(store.contents("birds-2/")) == birds


def test_a_folder_that_cannot_be_listed_is_told_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_checkpoint_store(str(tmp_path))
    store.write("birds/0.pt", b"content")
    scandir = os.scandir

    def refuse_birds(path: str) -> Any:  # chmod wouldn't stop root
        if path == str(tmp_path / "birds"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse_birds)
    with pytest.raises(CheckpointError, match=r"can't be listed \(Permission denied\)"):
        store.contents()


def test_a_model_that_an_earlier_version_kept_is_found(bucket: Bucket, storage: Storage) -> None:
    study = create_search(storage, load_space("demo"), name="birds")
    key = "ours/birds/0.pt"
    bucket.put(key, b"a model")
    study.optuna_study.add_trial(
        create_trial(value=0.5, user_attrs={CHECKPOINT: f"s3://{bucket.name}/{key}"})
    )
    number = study.count() - 1
    with trial_model(storage, f"birds/{number}") as model:
        assert model.file.read_bytes() == b"a model"


def test_embeddings_are_found_where_they_were_kept(location: str) -> None:
    store = open_checkpoint_store(location)
    store.write_from("birds-retrain/0.npz", partial(write_embeddings_file, content=embeddings()))
    place = store.place("birds-retrain/0.npz")
    trial = create_trial(value=0.5, user_attrs={FIGURES: {"NMI": 0.5}, EMBEDDINGS: place})
    assert plain(trial_embeddings(trial)) == plain(embeddings())
    store.remove("birds-retrain/0.npz")
    with pytest.raises(StudyError, match=f"found no {place}, which w"):
        trial_embeddings(trial)


def test_a_large_content_comes_back_whole(location: str) -> None:
    content = os.urandom(20_000_000)
    store = open_checkpoint_store(location)
    store.write("large", content)
    assert store.read("large") == content


def test_a_run_is_kept_in_a_folder_as_in_s3(
    location: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_checkpoint_store(location)
    first = RunStates(store, "study/3", 1, "this run")
    assert first.load() is None
    for epoch in (1, 2, 3):
        first.save({"epoch": epoch, "tensor": torch.full((1000,), float(epoch))})
    newest = "study/3/attempt-1/a.ckpt"
    content = store.read(newest)
    assert content is not None
    store.write(newest, content[:-1])

    second = RunStates(store, "study/3", 2, "this run")
    state = second.load()
    assert state is not None
    assert (state["epoch"], float(state["tensor"][0])) == (2, 2.0)
    assert f"{store.place(newest)} is damaged" in caplog.text
    second.save({"epoch": 3})
    second.save({"epoch": 4})
    assert store.read(newest) is None
    assert RunStates(store, "study/3", 3, "this run").load() == {"epoch": 4}
    second.delete()
    assert RunStates(store, "study/3", 3, "this run").load() is None


def test_objects_lie_under_the_prefix_and_none_is_left(bucket: Bucket) -> None:
    store = open_checkpoint_store(f"s3://{bucket.name}/check/points")
    checkpoints = RunStates(store, "study/3", 1, "this run")
    checkpoints.save({"epoch": 1})
    checkpoints.save({"epoch": 2})
    folder = "check/points/study/3/attempt-1"
    assert bucket.keys() == [f"{folder}/a.ckpt", f"{folder}/b.ckpt"]
    checkpoints.delete()
    assert bucket.keys() == []


@pytest.mark.parametrize(
    "location",
    ["gs://bucket", "http://host/bucket", "S3://bucket", "s3:/bucket", "s3://", "s3:///prefix"],
)
def test_other_locations_are_refused(location: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        open_checkpoint_store(location)
    assert str(raised.value) == (
        f"Checkpoints can't be kept at '{location}': name a folder or s3://BUCKET[/PREFIX] "
        "with --checkpoints."
    )


def test_a_folder_may_lie_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    open_checkpoint_store("~/checkpoints").write("key", b"content")
    assert (tmp_path / "checkpoints" / "key").read_bytes() == b"content"


def test_s3_without_boto3_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(CheckpointError, match=r'pip install "histsearch\[s3\]"'):
        open_checkpoint_store("s3://bucket")


def test_an_endpoint_that_is_no_url_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(CheckpointError, match="Invalid endpoint: localhost:9000"):
        open_checkpoint_store("s3://bucket")


ACTIONS: dict[str, Callable[[CheckpointStore], Any]] = {
    "listed": lambda store: store.contents("key"),
    "written": lambda store: store.write("key", b"content"),
    "read": lambda store: store.read("key"),
    "removed": lambda store: store.remove("key"),
}


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("action", ACTIONS)
def test_a_bucket_that_does_not_exist_is_told(action: str) -> None:
    store = open_checkpoint_store("s3://no-such-bucket/prefix")
    with pytest.raises(CheckpointError) as raised:
        ACTIONS[action](store)
    message = str(raised.value)
    assert message.startswith(f"The checkpoint s3://no-such-bucket/prefix/key can't be {action} (")
    assert "NoSuchBucket" in message
    assert message.endswith("or name another place with --checkpoints.")
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize("action", ACTIONS)
def test_a_server_that_does_not_answer_is_told(
    environment: pytest.MonkeyPatch, action: str
) -> None:
    environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(CheckpointError, match="Could not connect to the endpoint URL"):
        ACTIONS[action](open_checkpoint_store("s3://bucket"))


def test_missing_credentials_are_told(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(CheckpointError, match="Unable to locate credentials"):
        open_checkpoint_store("s3://bucket").read("key")


@pytest.fixture
def refusing_server(environment: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], None]]:
    """A server that answers every request with a status and a code of S3."""
    answer: dict[str, Any] = {}

    class Refusal(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = f"<Error><Code>{answer['code']}</Code><Message>No.</Message></Error>".encode()
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield lambda status, code: answer.update(status=status, code=code)
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code", "full"),
    [
        (507, "XMinioStorageFull", True),
        (400, "XMinioAdminBucketQuotaExceeded", True),
        (403, "QuotaExceeded", True),
        (403, "AccessDenied", False),
    ],
)
def test_a_full_s3_store_is_told_from_one_that_refuses(
    refusing_server: Callable[[int, str], None], status: int, code: str, full: bool
) -> None:
    refusing_server(status, code)
    with pytest.raises(CheckpointError, match=code) as raised:
        open_checkpoint_store("s3://bucket").write("key", b"content")
    assert isinstance(raised.value, StoreFullError) == full
    assert ("free space there" in str(raised.value)) == full


@pytest.mark.parametrize("action", ACTIONS)
def test_a_file_in_the_way_of_a_folder_is_told(tmp_path: Path, action: str) -> None:
    (tmp_path / "file").touch()
    store = open_checkpoint_store(str(tmp_path / "file"))
    with pytest.raises(CheckpointError) as raised:
        ACTIONS[action](store)
    reason = "File exists" if action == "written" else "Not a directory"
    assert str(raised.value) == (
        f"The checkpoint {tmp_path / 'file' / 'key'} can't be {action} ({reason}): let the folder "
        "be read and written, or name another place with --checkpoints."
    )
    assert not isinstance(raised.value, StoreFullError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_quota_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    store = open_checkpoint_store(str(tmp_path))
    store.write("key", b"before")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreFullError) as raised:
        store.write("key", b"after")
    assert str(raised.value) == (
        f"The checkpoint {tmp_path / 'key'} can't be written ({os.strerror(number)}): free space "
        "there or name another place with --checkpoints."
    )
    assert store.read("key") == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


WRITER = """
import itertools, sys
from histsearch.training.checkpoint_store import open_checkpoint_store
store = open_checkpoint_store(sys.argv[1])
for number in itertools.count():
    store.write("run/a.ckpt", bytes([number % 256]) * 4_000_000)
    if number == 0:
        print("begun", flush=True)
"""


def test_a_file_is_whole_at_any_moment_and_after_its_writer_was_killed(tmp_path: Path) -> None:
    store = open_checkpoint_store(str(tmp_path))
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )

    def written() -> int:
        content = store.read("run/a.ckpt")
        assert content is not None
        assert content == content[:1] * 4_000_000
        return content[0]

    assert writer.stdout is not None
    assert writer.stdout.readline() == "begun\n"
    assert len({written() for _ in range(100)}) > 1
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    written()
    store.remove("run/a.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_ends_takes_no_folder_from_one_that_is_writing(tmp_path: Path) -> None:
    store = open_checkpoint_store(str(tmp_path))
    failures: list[CheckpointError] = []

    def write_and_remove(run: int) -> None:
        for _ in range(300):
            try:
                store.write(f"study/{run}/attempt-1/a.ckpt", b"content")
                store.remove(f"study/{run}/attempt-1/a.ckpt")
            except CheckpointError as error:
                failures.append(error)

    threads = [threading.Thread(target=write_and_remove, args=(run,)) for run in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.iterdir()) == []
