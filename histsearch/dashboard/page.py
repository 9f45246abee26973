"""optuna-dashboard's page with a script of ours, which shows the reason of a refusal."""

import io
from collections.abc import Callable, Iterable
from importlib.resources import files
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_SCRIPT_PATH = "/histsearch/refusals.js"
_HEAD = b"<head>"
_HEAD_WITH_SCRIPT = _HEAD + f'<script src="{_SCRIPT_PATH}"></script>'.encode()

# The changed page is a document of its own: no part and no earlier state of the file.
_OF_THE_FILE = frozenset(("content-length", "etag", "last-modified", "accept-ranges"))
_FOR_THE_FILE = ("HTTP_IF_", "HTTP_RANGE")


def showing_refusals(app: WSGIApplication) -> WSGIApplication:
    """optuna-dashboard's application with the script in its page."""
    script = files("histsearch.dashboard").joinpath("refusals.js").read_bytes()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == _SCRIPT_PATH:
            headers = [("Content-Type", "text/javascript; charset=utf-8")]
            return _send(environ, start_response, "200 OK", headers, script)
        if path == "/dashboard" or path.startswith("/dashboard/"):
            status, headers, page = _ask(app, environ)
            page = page.replace(_HEAD, _HEAD_WITH_SCRIPT, 1)
            return _send(environ, start_response, status, headers, page)
        return app(environ, start_response)

    return answer


def _ask(
    app: WSGIApplication, environ: WSGIEnvironment
) -> tuple[str, list[tuple[str, str]], bytes]:
    """What the application answers to a request for the whole of a file."""
    asked = {key: value for key, value in environ.items() if not key.startswith(_FOR_THE_FILE)}
    if asked["REQUEST_METHOD"] == "HEAD":
        asked["REQUEST_METHOD"] = "GET"
    started: list[tuple[str, list[tuple[str, str]]]] = []
    content = io.BytesIO()

    def start(
        status: str, headers: list[tuple[str, str]], _: object = None, /
    ) -> Callable[[bytes], object]:
        started.append((status, headers))
        return content.write

    body = app(asked, start)
    try:
        content.writelines(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    status, headers = started[-1]
    kept = [(name, value) for name, value in headers if name.lower() not in _OF_THE_FILE]
    return status, kept, content.getvalue()


def _send(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    status: str,
    headers: list[tuple[str, str]],
    body: bytes,
) -> list[bytes]:
    start_response(status, [*headers, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
