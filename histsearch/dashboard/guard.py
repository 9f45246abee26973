"""The guard before optuna-dashboard, which itself lets everyone do everything."""

import json
from collections.abc import Collection, Iterable
from typing import NamedTuple
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from histsearch.dashboard.access_token import AccessToken, without_token
from histsearch.dashboard.changes import only_reads, why_refused
from histsearch.dashboard.hosts import is_same_origin, read_host
from histsearch.wording import shortened

_LONGEST_DRAINED = 1 << 20
_MOST_DIGITS = 20


class Guard:
    """Passes on to an application what asks for it by its name, with its token, and harms nothing.

    Args:
        app: The application.
        token: What opens it.
        names: Names and addresses, normalised, by which browsers may ask for it.
        read_only: Whether every request that would change something is refused.
    """

    def __init__(
        self,
        app: WSGIApplication,
        token: AccessToken,
        names: Collection[str],
        *,
        read_only: bool = False,
    ) -> None:
        self._app = app
        self._token = token
        self._names = frozenset(names)
        self._read_only = read_only

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as WSGI has it."""
        answer = self._answer(environ)
        if answer is None:
            return self._app(environ, start_response)
        _drain(environ)
        start_response(answer.status, answer.headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> "_Answer | None":
        """The guard's own answer; None where the application is to answer."""
        named = environ.get("HTTP_HOST", "")
        host = read_host(named)
        if host is None or host.name not in self._names:
            return _foreign_host(environ, named)
        # Cookies don't tell ports apart, and a tunnel's near end has a port of its own.
        cookie_name = f"histsearch-dashboard-{host.port}"
        reads = only_reads(environ["REQUEST_METHOD"])
        if reads and self._token.is_in_query(environ["QUERY_STRING"]):
            return _to_address_without_token(environ, self._token.cookie(cookie_name))
        if not self._token.is_in_cookies(environ.get("HTTP_COOKIE", ""), cookie_name):
            return _no_token(environ)
        return None if reads else self._change_refused(environ, named)

    def _change_refused(self, environ: WSGIEnvironment, host: str) -> "_Answer | None":
        # A page of another port of this host counts as the same site, and so gets the cookie sent.
        if not is_same_origin(environ.get("HTTP_ORIGIN", f"http://{host}"), host):
            return _refused(
                environ, "403 Forbidden", "a page of another site asked for this change"
            )
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        reason = why_refused(method, path, read_only=self._read_only)
        return None if reason is None else _refused(environ, "403 Forbidden", reason)


class _Answer(NamedTuple):
    status: str
    headers: list[tuple[str, str]]
    body: bytes


def _to_address_without_token(environ: WSGIEnvironment, cookie: str) -> _Answer:
    # One slash: an address that begins with two is another host's.
    path = "/" + quote(environ["PATH_INFO"].lstrip("/"), encoding="latin-1")
    query = without_token(environ["QUERY_STRING"])
    location = f"{path}?{query}" if query else path
    headers = [("Location", location), ("Set-Cookie", cookie), ("Referrer-Policy", "no-referrer")]
    return _answer("303 See Other", "text/plain", b"", headers)


def _foreign_host(environ: WSGIEnvironment, named: str) -> _Answer:
    found = f'the host "{shortened(named)}"' if named else "no host"
    return _refused(
        environ,
        "421 Misdirected Request",
        f"found {found} in the request, which isn't one of the dashboard's; open the address that "
        "histsearch dashboard printed, or start it with --allowed-host NAME",
    )


def _no_token(environ: WSGIEnvironment) -> _Answer:
    return _refused(
        environ,
        "403 Forbidden",
        "this dashboard opens with its token only: open the address that histsearch dashboard "
        "printed when it started, http://HOST:PORT/?token=...",
    )


def _refused(environ: WSGIEnvironment, status: str, reason: str) -> _Answer:
    """A refusal in the form that the page's scripts read, or for people to read."""
    if environ["PATH_INFO"].startswith("/api/"):
        return _answer(status, "application/json", json.dumps({"reason": reason}).encode())
    text = f"{reason[0].upper()}{reason[1:]}.\n"
    return _answer(status, "text/plain; charset=utf-8", text.encode())


def _answer(
    status: str, content_type: str, body: bytes, headers: Iterable[tuple[str, str]] = ()
) -> _Answer:
    fixed = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    return _Answer(status, [*fixed, *headers], body)


def _drain(environ: WSGIEnvironment) -> None:
    """Read a request's body: closing a connection with unread data resets it, answer and all."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if length.isascii() and length.isdigit():
        # Python reads no number of thousands of digits.
        most = min(int(length[:_MOST_DIGITS]), _LONGEST_DRAINED)
        environ["wsgi.input"].read(most)
