"""Where the dashboard listens, who may look, and what it reads."""

import ipaddress
from typing import Annotated

from msgspec import Meta, Struct

from producers.redis.settings import RedisSettings
from producers.settings import Secret, SettingsError
from producers.stalls import STALL_SECONDS, StallSeconds
from workers.settings import DiffSettings

SHORTEST_TOKEN = 16
"""characters; a shorter one could be guessed from a cookie"""


class DashboardSettings(RedisSettings, frozen=True, kw_only=True):
    """Each field is the environment variable ``STREAKLINE_<FIELD>``."""

    lake: str = DiffSettings().lake
    """a local folder of Parquet tables"""
    dashboard_host: str = "127.0.0.1"
    dashboard_port: Annotated[int, Meta(ge=0, le=65_535)] = 8800
    """0: any free one"""
    dashboard_token: Secret | None = None
    """what whoever looks has to know"""
    dashboard_tls_cert: str | None = None
    """PEM file, with the chain"""
    dashboard_tls_key: str | None = None
    stall_seconds: StallSeconds = STALL_SECONDS
    """after which a loop that does not turn says where it stands"""


class Place(Struct, frozen=True, kw_only=True):
    """Settings that may be served: whoever is not on this machine needs the token."""

    host: str
    port: int
    token: str | None
    tls_cert: str | None
    tls_key: str | None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def warning(self) -> str | None:
        """What whoever starts it should know."""
        if self.is_loopback or self.tls_cert is not None:
            return None
        return (
            "without TLS the token and all that is shown can be read on the way: set --tls-cert and --tls-key, "
            "or listen on 127.0.0.1 behind a proxy that has them"
        )

    def url(self, port: int) -> str:
        """Where it is opened, once it listens on `port`."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104 - it is shown, not bound
        scheme = "http" if self.tls_cert is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def is_loopback(host: str) -> bool:
    """Whether `host` is an address of this machine alone.

    >>> is_loopback("localhost"), is_loopback("127.9.9.9"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("a")
    (True, True, True, False, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def place_of(settings: DashboardSettings) -> Place:
    """What `settings` ask for. Raises `SettingsError` where nobody should serve that."""
    if (settings.dashboard_tls_cert is None) != (settings.dashboard_tls_key is None):
        raise SettingsError("TLS needs a certificate and its key: set both --tls-cert and --tls-key")
    token = settings.dashboard_token
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise SettingsError(
            f"STREAKLINE_DASHBOARD_TOKEN has to have {SHORTEST_TOKEN} printable ASCII characters or more: "
            "`openssl rand -hex 32` makes one"
        )
    if token is None and not is_loopback(settings.dashboard_host):
        raise SettingsError(
            f"the dashboard is served to others than this machine ({settings.dashboard_host!r}) only with a token: "
            "set STREAKLINE_DASHBOARD_TOKEN or --token-file, or leave --host out"
        )
    return Place(
        host=settings.dashboard_host,
        port=settings.dashboard_port,
        token=token,
        tls_cert=settings.dashboard_tls_cert,
        tls_key=settings.dashboard_tls_key,
    )
