"""The dashboard's server: where it listens, and why it can't."""

import errno
import socket
from ipaddress import ip_address
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from histsearch.exceptions import HistsearchError

# Every address of this machine, and the one of them by which it reaches itself.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing: the page polls every few seconds, and an address may hold the token."""


class DashboardServer(ThreadingMixIn, WSGIServer):
    """Answers requests side by side; a browser that holds a connection open blocks no other.

    Args:
        host: Name or address to listen on.
        port: Port to listen on.

    Raises:
        HistsearchError: It can't listen there.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        try:
            self.address_family, self.address = _resolve(host, port)
            super().__init__((self.address, port), _QuietHandler)
        except OSError as error:
            raise HistsearchError(_why_not(host, port, error)) from error
        self._named = _EVERYWHERE.get(self.address, host)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return ip_address(self.address).is_loopback

    @property
    def url(self) -> str:
        """Its address for a browser, on this machine where it listens on every address."""
        return f"http://{_bracketed(self._named)}:{self.server_port}/"


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:  # a label of a name that is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "no name of a host") from error
    family, _, _, _, address = found[0]
    return family, str(address[0])


def _why_not(host: str, port: int, error: OSError) -> str:
    """Why nothing can listen there, and what to do."""
    where = f"can't listen on {_bracketed(host)}:{port}"
    if isinstance(error, socket.gaierror):
        return (
            f'{where}: found no address of the host "{host}" ({error.strerror}); give --host an '
            "address of this machine"
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return (
            f"{where}: this machine has no such address; give --host one of its own, 127.0.0.1 "
            "to be reached from here alone, or 0.0.0.0 for all of them"
        )
    if error.errno == errno.EADDRINUSE:
        return f"{where}: the port is in use; choose another with --port"
    if error.errno == errno.EACCES:
        return (
            f"{where}: only root may listen on a port below 1024; choose a higher one with --port"
        )
    return f"{where} ({error.strerror})"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
