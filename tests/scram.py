"""The server's side of SCRAM (RFC 5802) without channel binding, as a Kafka broker has it.

It keeps no password, only what a proof can be held against, and finds out by that proof whether the client has it.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping

from msgspec import Struct

_ITERATIONS = 4096
# The client's header "n,,": neither a channel to bind nor another's name to act under.
_HEADER = "n,,"


class NotProven(Exception):
    """The client is not who it says it is, or does not speak SCRAM."""


class Verifier(Struct, frozen=True):
    """What is kept of one user's password."""

    salt: bytes
    stored_key: bytes
    server_key: bytes


def verifier(password: str, digest: str) -> Verifier:
    """Of a user with that password; `digest` as `hashlib` names it."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", digest)
    return Verifier(salt, hashlib.new(digest, client_key).digest(), hmac.digest(salted, b"Server Key", digest))


class Exchange:
    """One client's: `challenge` answers its first message, `conclude` its last."""

    def __init__(self, digest: str, verifiers: Mapping[str, Verifier]) -> None:
        self.user = ""
        self._digest = digest
        self._verifiers = verifiers
        self._first = self._challenge = self._nonce = ""

    def challenge(self, message: bytes) -> bytes:
        """Raises `NotProven` for a user that nobody knows."""
        text = _text(message)
        if not text.startswith(_HEADER):
            raise NotProven("it asks for what is not served here")
        self._first = text.removeprefix(_HEADER)
        fields = _fields(self._first)
        self.user = fields.get("n", "").replace("=2C", ",").replace("=3D", "=")
        if self.user not in self._verifiers:
            raise NotProven("the user is unknown")
        self._nonce = fields.get("r", "") + secrets.token_urlsafe(18)
        salt = base64.b64encode(self._verifiers[self.user].salt).decode()
        self._challenge = f"r={self._nonce},s={salt},i={_ITERATIONS}"
        return self._challenge.encode()

    def conclude(self, message: bytes) -> bytes:
        """The server's own proof. Raises `NotProven` where the client's is wrong."""
        text = _text(message)
        without_proof, _, proof = text.rpartition(",p=")
        fields = _fields(without_proof)
        if fields.get("r") != self._nonce or fields.get("c") != base64.b64encode(_HEADER.encode()).decode():
            raise NotProven("it answers another challenge")
        known = self._verifiers[self.user]
        said = ",".join((self._first, self._challenge, without_proof)).encode()
        signature = hmac.digest(known.stored_key, said, self._digest)
        try:
            given = base64.b64decode(proof, validate=True)
        except binascii.Error:
            raise NotProven("its proof is none") from None
        client_key = bytes(a ^ b for a, b in zip(given, signature, strict=False))
        if not hmac.compare_digest(hashlib.new(self._digest, client_key).digest(), known.stored_key):
            raise NotProven("the password is wrong")
        return b"v=" + base64.b64encode(hmac.digest(known.server_key, said, self._digest))


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise NotProven("it sends no text") from None


def _fields(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition("=") for part in text.split(","))}
