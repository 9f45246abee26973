"""The token that opens the dashboard: in its printed address once, in a cookie from then on."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, MutableMapping
from urllib.parse import parse_qsl, quote, urlencode

from histsearch.exceptions import HistsearchError

TOKEN_VARIABLE = "HISTSEARCH_DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable

_PARAMETER = "token"
_RANDOM_BYTES = 32
_SHORTEST = 16


class AccessToken:
    """A token, and where a request may carry it.

    Args:
        value: The token.

    Raises:
        HistsearchError: It is too short, or holds what can't stand in a setting.
    """

    def __init__(self, value: str) -> None:
        if not re.fullmatch(r"[!-~]*", value):
            raise _refused("a space or a character that isn't ASCII")
        if len(value) < _SHORTEST:
            raise _refused(f"{len(value)} characters" if value else "nothing")
        self._value = value
        # Whoever sees a cookie can't tell a token from it that stays the same for years.
        self._cookie = hmac.new(value.encode(), b"dashboard cookie", hashlib.sha256).hexdigest()

    @property
    def query(self) -> str:
        """The query of an address that opens the dashboard: ``token=...``."""
        return f"{_PARAMETER}={quote(self._value, safe='')}"

    def is_in_query(self, query: str) -> bool:
        """Whether an address' query carries the token."""
        given = (value for name, value in _parameters(query) if name == _PARAMETER)
        return _any_is(given, self._value)

    def cookie(self, name: str) -> str:
        """The cookie of that name, as ``Set-Cookie`` sets it."""
        return f"{name}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"

    def is_in_cookies(self, cookies: str, name: str) -> bool:
        """Whether a ``Cookie`` header carries the token under that name.

        Other servers of the machine set cookies for the same host, of any form and any name.
        """
        pairs = (pair.strip().partition("=") for pair in re.split("[;,]", cookies))
        return _any_is((value for key, _, value in pairs if key == name), self._cookie)


def take_access_token(environment: MutableMapping[str, str]) -> AccessToken:
    """The token that the environment names, else a random one.

    It is taken out, as a server that a command starts may run as another user.

    Raises:
        HistsearchError: The one named is too short, or holds what can't stand in a setting.
    """
    fixed = environment.pop(TOKEN_VARIABLE, None)
    return AccessToken(secrets.token_urlsafe(_RANDOM_BYTES) if fixed is None else fixed)


def without_token(query: str) -> str:
    """An address' query with the token left out."""
    return urlencode([(name, value) for name, value in _parameters(query) if name != _PARAMETER])


def _parameters(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _any_is(given: Iterable[str], secret: str) -> bool:
    """Whether one of the given texts is the secret, in a time that doesn't tell how much of it."""
    return any(hmac.compare_digest(one.encode(), secret.encode()) for one in given)


def _refused(found: str) -> HistsearchError:
    return HistsearchError(
        f"{TOKEN_VARIABLE}: found {found}, allowed: {_SHORTEST} or more letters, digits and signs, "
        f"for instance what openssl rand -hex 24 prints; unset it for a random one at each start"
    )
