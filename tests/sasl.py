"""The broker's side of Kafka's SASL, without a connection: requests in, answers out."""

from collections.abc import Mapping, Sequence

from tests.kafka_frames import (
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    BadFrame,
    Request,
    handshake_answer,
    handshake_mechanism,
    token,
    token_answer,
)
from tests.scram import Exchange, NotProven, Verifier, verifier

_DIGESTS = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_UNSUPPORTED_MECHANISM = 33
_NOT_AUTHENTICATED = 58


class Accounts:
    """Who may come in, and with which mechanisms; the same for every connection."""

    def __init__(self, passwords: Mapping[str, str], mechanisms: Sequence[str]) -> None:
        self.passwords = passwords
        self.mechanisms = mechanisms
        self.verifiers: dict[str, dict[str, Verifier]] = {
            mechanism: {user: verifier(password, digest) for user, password in passwords.items()}
            for mechanism, digest in _DIGESTS.items()
        }


class Login:
    """One connection's: `answer` each request until `is_over`; `user` is then who it is, or None for nobody."""

    def __init__(self, accounts: Accounts) -> None:
        self.is_over = False
        self.user: str | None = None
        self._accounts = accounts
        self._mechanism: str | None = None
        self._exchange: Exchange | None = None

    def answer(self, request: Request) -> bytes:
        """What goes back. Raises `BadFrame` where nothing does: the request has no place here."""
        if request.api == SASL_HANDSHAKE and request.version == 1:
            self._mechanism = handshake_mechanism(request)
            self.is_over = self._mechanism not in self._accounts.mechanisms
            error = _UNSUPPORTED_MECHANISM if self.is_over else 0
            return handshake_answer(request, error, self._accounts.mechanisms)
        if request.api != SASL_AUTHENTICATE or self._mechanism is None:
            raise BadFrame("nobody is known here yet")
        try:
            answer = self._proven(self._mechanism, token(request))
        except NotProven:
            self.is_over = True
            # As Apache Kafka says it, which tells nobody whether it was the user or the password.
            said = "Authentication failed during authentication due to invalid credentials with SASL mechanism "
            return token_answer(request, _NOT_AUTHENTICATED, said + self._mechanism, b"")
        return token_answer(request, 0, None, answer)

    def _proven(self, mechanism: str, given: bytes) -> bytes:
        if mechanism == "PLAIN":
            self.user = self._by_password(given)
            self.is_over = True
            return b""
        if self._exchange is None:
            self._exchange = Exchange(_DIGESTS[mechanism], self._accounts.verifiers[mechanism])
            return self._exchange.challenge(given)
        answer = self._exchange.conclude(given)
        self.user = self._exchange.user
        self.is_over = True
        return answer

    def _by_password(self, given: bytes) -> str:
        """The user that PLAIN (RFC 4616) names, with its password. Raises `NotProven`."""
        parts = given.decode(errors="replace").split("\0")
        if len(parts) != 3 or self._accounts.passwords.get(parts[1]) != parts[2]:
            raise NotProven("the user is unknown, or the password is wrong")
        return parts[1]
