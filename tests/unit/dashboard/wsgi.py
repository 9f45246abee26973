"""Requests to a WSGI application, without a server."""

import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """What the page of optuna-dashboard shows of a refusal."""
        return str(json.loads(self.body)["reason"])


def ask(
    app: WSGIApplication,
    method: str,
    path: str,
    *,
    query: str = "",
    body: Mapping[str, object] | None = None,
    length: str | None = None,
    **headers: str,
) -> Response:
    """The answer to a request; headers by their names in WSGI without ``HTTP_``.

    ``length`` is what it says of its body's, where that isn't true.
    """
    sent = json.dumps(body or {}).encode()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": length or str(len(sent)),
        "wsgi.input": io.BytesIO(sent),
        "HTTP_HOST": "127.0.0.1:8080",
        **{f"HTTP_{name}": value for name, value in headers.items()},
    }
    setup_testing_defaults(environ)
    answer: dict[str, Any] = {}

    def start_response(status: str, fields: list[tuple[str, str]], *_: object) -> Any:
        answer.update(status=int(status.split()[0]), headers=dict(fields))

    content = b"".join(app(environ, start_response))
    return Response(answer["status"], answer["headers"], content)
