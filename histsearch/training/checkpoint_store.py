"""Where the checkpoints of runs lie: in a folder, or in a bucket of an S3-style store."""

import errno
import io
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from histsearch.exceptions import CheckpointDeniedError, CheckpointError, StoreFullError
from histsearch.file_writing import remove_whole, whole_file
from histsearch.sharing import Barrier, barrier_to, make_folder

# A worker that was asked to stop has little time for its last checkpoint.
_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_TRIES = 3

_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
# Of Ceph and MinIO; Amazon's S3 is never full.
_FULL_CODES = ("QuotaExceeded", "XMinioAdminBucketQuotaExceeded")


class StoredContent(NamedTuple):
    """A content of a store: its key, and its size in bytes."""

    key: str
    size: int


Fill = Callable[[BinaryIO], object]
"""Writes a content to a file; called again, from the start, where a first try failed."""

PassOver = Callable[[str, OSError], object]
"""Told of a key that can't be listed, and why; it may raise an error of its own."""


def _no_barrier(_key: str, *, writing: bool) -> Barrier | None:  # noqa: ARG001 - S3 has no users
    return None


class _Artifacts(Protocol):
    """Where contents lie, as Optuna's artifact stores have it but for how they are written.

    What isn't there raises `FileNotFoundError`.
    """

    def open_reader(self, artifact_id: str) -> BinaryIO: ...

    def write(self, artifact_id: str, fill: Fill) -> None: ...

    def remove(self, artifact_id: str) -> None: ...


class CheckpointStore:
    """Named contents in one place, with errors that a user can act on.

    Keys are relative paths with slashes, such as ``birds/3/attempt-1/a.ckpt``.

    Args:
        artifacts: The store.
        list_all: The contents whose keys begin with a text, in the store; it is told what to do
            about those that can't be listed.
        root: Its path or URI, for messages.
        prefix: Precedes every key in the store.
        failures: Exceptions of the store that lie outside the program.
        remedy: What a user can do about them.
        find_barrier: What of another user's keeps this one from a key.
    """

    def __init__(
        self,
        artifacts: _Artifacts,
        list_all: Callable[[str, PassOver], Iterable[StoredContent]],
        root: str,
        *,
        prefix: str = "",
        failures: tuple[type[Exception], ...] = (OSError,),
        remedy: str,
        find_barrier: Callable[..., Barrier | None] = _no_barrier,
    ) -> None:
        self._artifacts = artifacts
        self._list_all = list_all
        self._root = root
        self._prefix = prefix
        self._failures = failures
        self._remedy = remedy
        self._find_barrier = find_barrier

    def place(self, key: str) -> str:
        """Path or URI of a key."""
        return f"{self._root}/{self._prefix}{key}"

    def check(self, key: str) -> None:
        """Write a content under a key that nobody uses, and remove it.

        Raises:
            StoreFullError: The disk or a quota is used up.
            CheckpointError: It can't be written or removed for another reason.
        """
        self.write(key, b"")
        self.remove(key)

    def write(self, key: str, content: bytes) -> None:
        """Write a content that is complete or not there; one of that key is replaced at once.

        Raises:
            StoreFullError: The disk or a quota is used up.
            CheckpointError: It can't be written for another reason.
        """
        self.write_from(key, lambda file: file.write(content))

    def write_from(self, key: str, fill: Fill) -> None:
        """Write what ``fill`` writes, as `write` does.

        A folder takes it as it comes; for S3 it is gathered in memory.

        Raises:
            StoreFullError: The disk or a quota is used up.
            CheckpointError: It can't be written for another reason.
        """
        try:
            self._artifacts.write(self._prefix + key, fill)
        except self._failures as error:
            raise self._error("written", key, error) from error

    def read(self, key: str) -> bytes | None:
        """The content of a key; None where there is none.

        Raises:
            CheckpointError: It can't be read.
        """
        try:
            with self._artifacts.open_reader(self._prefix + key) as reader:
                return reader.read()
        except FileNotFoundError:
            return None
        except self._failures as error:
            raise self._error("read", key, error) from error

    def remove(self, key: str) -> None:
        """Remove the content of a key, where there is one.

        Raises:
            CheckpointError: It can't be removed.
        """
        try:
            self._artifacts.remove(self._prefix + key)
        except FileNotFoundError:
            return
        except self._failures as error:
            raise self._error("removed", key, error) from error

    def contents(
        self,
        beginning: str = "",
        on_denied: Callable[[CheckpointDeniedError], object] | None = None,
    ) -> list[StoredContent]:
        """What lies in the store under keys that begin with a text.

        Args:
            beginning: The text.
            on_denied: Told of what another user keeps from being listed; left out, it is raised.

        Raises:
            CheckpointError: It can't be listed.
        """

        def pass_over(key: str, error: OSError) -> None:
            told = self._error("listed", key, error)
            if on_denied is None or not isinstance(told, CheckpointDeniedError):
                raise told from error
            on_denied(told)

        try:
            return [
                StoredContent(content.key.removeprefix(self._prefix), content.size)
                for content in self._list_all(self._prefix + beginning, pass_over)
            ]
        except self._failures as error:
            raise self._error("listed", beginning, error) from error

    def _error(self, action: str, key: str, error: BaseException) -> CheckpointError:
        found = f"The checkpoint {self.place(key)} can't be {action} ({_reason(error)})"
        elsewhere = "or name another place with --checkpoints."
        if _is_full(error):
            return StoreFullError(f"{found}: free space there {elsewhere}")
        barrier = None
        if isinstance(error, PermissionError):
            barrier = self._find_barrier(key, writing=action in ("written", "removed"))
        if barrier is None:
            return CheckpointError(f"{found}: {self._remedy}, {elsewhere}")
        access = f"let {barrier.owner} {_access(barrier, Path(self._root))}"
        return CheckpointDeniedError(f"{found}: {barrier}; {access}, {elsewhere}", barrier.owner)


def _access(barrier: Barrier, root: Path) -> str:
    """What the owner of a barrier can do; above a store's folder are things of other purposes."""
    if root not in barrier.path.parents:
        return "grant you access"
    command = f"chmod -R g+rwX {shlex.quote(str(barrier.path))}"
    return f"open it to your group ({command}) and run histsearch with umask 002"


def open_checkpoint_store(location: str) -> CheckpointStore:
    """The store at a location; nothing is written or reached yet.

    Args:
        location: A folder, which is made when something is written; or ``s3://BUCKET[/PREFIX]``,
            a bucket that exists. Endpoint, region and credentials of S3 are those that boto3
            finds: ``AWS_ENDPOINT_URL``, ``AWS_DEFAULT_REGION``, ``AWS_ACCESS_KEY_ID``,
            ``AWS_SECRET_ACCESS_KEY``, a profile or a role. They must allow to get, put and delete
            objects and to list the bucket, without which S3 hides whether an object exists. An
            S3-style store that knows nothing of Amazon's newer checksums wants
            ``AWS_REQUEST_CHECKSUM_CALCULATION=when_required``.

    Raises:
        CheckpointError: The location is neither, boto3 is missing, or its configuration can't be
            used.
    """
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", location):
        folder = Path(location).expanduser()
        artifacts = _FolderArtifacts(folder)
        return CheckpointStore(
            artifacts,
            artifacts.contents,
            str(folder),
            remedy="let the folder be read and written",
            find_barrier=artifacts.barrier_to,
        )
    address = re.fullmatch(r"s3://(?P<bucket>[^/]+)/*(?P<prefix>.*?)/*", location)
    if address is None:
        raise CheckpointError(
            f"Checkpoints can't be kept at '{location}': name a folder or s3://BUCKET[/PREFIX] "
            "with --checkpoints."
        )
    return _open_s3(address["bucket"], address["prefix"])


def _open_s3(bucket: str, prefix: str) -> CheckpointStore:
    try:
        import boto3
        from boto3.exceptions import Boto3Error
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise CheckpointError(
            f"Checkpoints in s3://{bucket} need boto3, which is missing: "
            'pip install "histsearch[s3]", or name a folder with --checkpoints.'
        ) from error
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
    )
    try:
        client = boto3.Session().client("s3", config=config)
    except (BotoCoreError, ValueError) as error:
        raise CheckpointError(
            f"The bucket s3://{bucket} can't be used ({_reason(error)}): mend the AWS_ variables "
            "and files that boto3 reads, or name a folder with --checkpoints."
        ) from error
    return CheckpointStore(
        _S3Artifacts(bucket, client),
        lambda beginning, _: _s3_contents(client, bucket, beginning),
        f"s3://{bucket}",
        prefix=f"{prefix}/" if prefix else "",
        failures=(OSError, Boto3Error, BotoCoreError, ClientError),
        remedy="check the bucket, its credentials and AWS_ENDPOINT_URL",
    )


def _s3_contents(client: Any, bucket: str, beginning: str) -> Iterator[StoredContent]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=beginning)
    for page in pages:
        for entry in page.get("Contents", ()):
            yield StoredContent(entry["Key"], entry["Size"])


class _S3Artifacts:
    """The objects of a bucket."""

    def __init__(self, bucket: str, client: Any) -> None:
        # Imports boto3, which takes longer than all that a command without a bucket needs.
        from optuna.artifacts import Boto3ArtifactStore
        from optuna.artifacts.exceptions import ArtifactNotFound

        self._objects = Boto3ArtifactStore(bucket, client, avoid_buf_copy=True)
        self._not_found = ArtifactNotFound

    def open_reader(self, artifact_id: str) -> BinaryIO:
        try:
            return self._objects.open_reader(artifact_id)
        except self._not_found as error:
            # Boto3ArtifactStore says the same of a bucket that doesn't exist.
            if error.__cause__ is None or _s3_code(error.__cause__) in (None, "NoSuchKey"):
                raise FileNotFoundError(artifact_id) from error
            raise error.__cause__ from error

    def write(self, artifact_id: str, fill: Fill) -> None:
        content = io.BytesIO()
        fill(content)
        content.seek(0)
        self._objects.write(artifact_id, content)

    def remove(self, artifact_id: str) -> None:
        self._objects.remove(artifact_id)


class _FolderArtifacts:
    """Files in a folder, each complete or not there.

    Optuna's own store makes no folders and leaves half a file behind when it is stopped.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def open_reader(self, artifact_id: str) -> BinaryIO:
        return (self._root / artifact_id).open("rb")

    def write(self, artifact_id: str, fill: Fill) -> None:
        path = self._root / artifact_id
        for tries_left in reversed(range(_TRIES)):
            try:
                make_folder(path.parent, private=True)
                with whole_file(path, private=True) as file:
                    fill(file)
            except (FileNotFoundError, FileExistsError):
                # The end of another run has just removed a folder that it shared with this one;
                # where that was just found to exist, mkdir() takes what is gone for a file.
                if not tries_left:
                    raise
            else:
                return

    def contents(self, beginning: str, pass_over: PassOver) -> Iterator[StoredContent]:
        """The files whose paths in the folder begin with a text."""

        def unless_gone(error: OSError) -> None:
            if isinstance(error, FileNotFoundError):  # never made, or removed a moment ago
                return
            folder = Path(error.filename)
            if folder == self._root:
                raise error
            pass_over(self._key(folder), error)

        for folder, subfolders, names in os.walk(self._root, onerror=unless_gone):
            subfolders[:] = [
                name
                for name in subfolders
                if _may_hold(self._key(Path(folder, name)) + "/", beginning)
            ]
            for name in names:
                path = Path(folder, name)
                if not self._key(path).startswith(beginning):
                    continue
                try:
                    size = path.lstat().st_size
                except OSError as error:
                    unless_gone(error)
                else:
                    yield StoredContent(self._key(path), size)

    def remove(self, artifact_id: str) -> None:
        """Remove a file, and the folders under the root that it leaves empty."""
        path = self._root / artifact_id
        remove_whole(path)
        for folder in path.parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except PermissionError:  # another user's; empty, it harms nobody
                return
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return
                raise

    def barrier_to(self, artifact_id: str, *, writing: bool) -> Barrier | None:
        """What of another user's keeps this one from a file."""
        return barrier_to(self._root / artifact_id, writing=writing)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _may_hold(folder: str, beginning: str) -> bool:
    """Whether keys under a folder's, which ends in a slash, may begin with a text."""
    return folder.startswith(beginning) or beginning.startswith(folder)


def _reason(error: BaseException) -> str:
    """Why, in one line; the path of an OSError is said elsewhere."""
    text = error.strerror if isinstance(error, OSError) else None
    return " ".join((text or str(error)).split())


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL_ERRNOS
    status = _s3_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == HTTPStatus.INSUFFICIENT_STORAGE or _s3_code(error) in _FULL_CODES


def _s3_code(error: BaseException | None) -> str | None:
    """The error code that an S3 store answered with; None where it didn't answer."""
    code: str | None = _s3_answer(error).get("Error", {}).get("Code")
    return code


def _s3_answer(error: BaseException | None) -> dict[str, Any]:
    # Only botocore's ClientError has one; it can't be named where botocore isn't installed.
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) else {}
