"""Who may look: the token, and the cookie that stands for it in a browser. Decisions only, no HTTP."""

import hashlib
import hmac
from urllib.parse import urlsplit

from streakline.dashboard.settings import is_loopback

COOKIE = "streakline-dashboard"
COOKIE_SECONDS = 30 * 24 * 3600
_SCHEME = "bearer "


class Access:
    """Knows the token; without one, anyone on this machine may look."""

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    @property
    def is_open(self) -> bool:
        """Whether no token is asked for."""
        return self._token is None

    def is_token(self, given: str) -> bool:
        """Whether `given` is the token; how long it takes tells nothing of it."""
        return self._token is None or hmac.compare_digest(given.encode(errors="replace"), self._token)

    def allows(self, *, authorization: str | None, cookie: str | None, now: float) -> bool:
        """Whether a request with these headers may be answered."""
        if self._token is None:
            return True
        if authorization is not None and authorization[: len(_SCHEME)].lower() == _SCHEME:
            return self.is_token(authorization[len(_SCHEME) :].strip())
        return cookie is not None and self._is_cookie(cookie, now)

    def cookie(self, now: float) -> str:
        """What a browser shows instead of the token for `COOKIE_SECONDS`; a new token ends it."""
        expires = f"{now + COOKIE_SECONDS:.0f}"
        return f"{expires}.{self._seal(expires)}"

    def _is_cookie(self, value: str, now: float) -> bool:
        expires, _, seal = value.partition(".")
        if not hmac.compare_digest(seal.encode(errors="replace"), self._seal(expires).encode()):
            return False
        return now < int(expires)

    def _seal(self, text: str) -> str:
        return hmac.new(
            self._token or b"", b"dashboard cookie until " + text.encode(errors="replace"), hashlib.sha256
        ).hexdigest()


def is_own_host(host: str | None) -> bool:
    """Whether a Host header names this machine: a page elsewhere whose name was made to lead here does not.

    >>> is_own_host("127.0.0.1:8800"), is_own_host("localhost"), is_own_host("[::1]:80"), is_own_host("evil.example")
    (True, True, True, False)
    """
    try:
        name = urlsplit(f"//{host or ''}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def is_same_origin(origin: str | None, host: str | None) -> bool:
    """Whether a form was sent from a page of ours.

    >>> is_same_origin("https://a.example", "a.example"), is_same_origin("null", "a.example")
    (True, False)
    """
    return bool(origin) and bool(host) and (origin or "").partition("://")[2] == host


def local_path(wanted: str) -> str:
    """`wanted` where it is a path of ours, or else the first page: nobody is sent elsewhere after logging in.

    >>> local_path("/runs/a?x=1"), local_path("//evil.example"), local_path("https://evil.example")
    ('/runs/a?x=1', '/', '/')
    """
    # A browser reads a backslash as a slash, and leaves out line ends.
    leads_elsewhere = not wanted.startswith("/") or wanted.startswith(("//", "/\\"))
    return "/" if leads_elsewhere or not (wanted.isascii() and wanted.isprintable()) else wanted
