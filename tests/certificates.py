"""Certificates for tests: of an authority of the test's own, as PEM files."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from msgspec import Struct

LOOPBACK = ("127.0.0.1", "localhost")
"""what a server here is called"""


class Pair(Struct, frozen=True):
    """A certificate and its key, in two files."""

    certificate: Path
    key: Path


class Authority:
    """Whoever trusts the file `ca` trusts what it issues; its files are in `folder`, which it makes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._authority = trustme.CA()
        self._issued = 0
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, *names: str, is_expired: bool = False) -> Pair:
        """For a server of these names or addresses, or a client called so."""
        self._issued += 1
        now = datetime.now(UTC)
        issued = self._authority.issue_cert(
            *names, not_before=now - timedelta(days=3), not_after=now + timedelta(days=-1 if is_expired else 1)
        )
        pair = Pair(self._folder / f"{self._issued}.pem", self._folder / f"{self._issued}.key")
        issued.cert_chain_pems[0].write_to_path(str(pair.certificate))
        issued.private_key_pem.write_to_path(str(pair.key))
        return pair


def server_tls(pair: Pair, *, clients_of: Authority | None = None) -> ssl.SSLContext:
    """A server's side of TLS; with `clients_of`, only for clients that show a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients_of is not None:
        context.load_verify_locations(clients_of.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
