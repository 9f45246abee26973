"""The names by which a browser may ask for the dashboard.

A page of a foreign site can have its own name resolve to this machine and so read what is served
here (DNS rebinding); its requests still name that site as their host.
"""

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from histsearch.exceptions import HistsearchError

LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
"""Names of this machine for itself, and for the near end of an ssh tunnel."""


class Host(NamedTuple):
    """The value of a ``Host`` header."""

    name: str
    """Lower case, an IPv6 address without brackets."""
    port: str
    """Empty where it is the scheme's own."""


def read_host(header: str) -> Host | None:
    """What a ``Host`` header names; None if it is none."""
    found = re.fullmatch(r"(\[[^\[\]]+\]|[^\[\]:]+)(?::([0-9]*))?", header)
    return None if found is None else Host(normalised(found[1]), found[2] or "")


def normalised(name: str) -> str:
    """A host's name or address as `read_host` writes it."""
    bare = name.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    return str(ip_address(bare)) if is_address(bare) else bare


def is_address(name: str) -> bool:
    """Whether a host is given by its address, IPv4 or IPv6 (without brackets)."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def checked(name: str) -> str:
    """A name to allow besides the server's own, normalised.

    Raises:
        HistsearchError: It is no name or address of a host.
    """
    host = normalised(name)
    if is_address(host) or re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", host):
        return host
    raise HistsearchError(
        f'--allowed-host: found "{name}", allowed: a name or an address alone, such as '
        f"gpu01.example.org or 192.0.2.7, without http:// and without a port"
    )


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an ``Origin`` header names the server that the ``Host`` header does."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
