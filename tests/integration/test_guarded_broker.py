"""The tests' own guard of a broker lets nobody through who has not proven who it is, whatever they send."""

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.guarded_broker import Guard, GuardedBroker, guarded_broker

_METADATA = 3
_HANDSHAKE, _AUTHENTICATE = 17, 36
_UNKNOWN, _UNSUPPORTED = 58, 33


@pytest.fixture(scope="module")
def front() -> Iterator[GuardedBroker]:
    with guarded_broker(Guard(passwords={"ann": "secret"}, mechanisms=("PLAIN", "SCRAM-SHA-256"))) as running:
        yield running


@pytest.fixture
def client(front: GuardedBroker) -> Iterator[socket.socket]:
    host, port = front.bootstrap.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def ask(client: socket.socket, api: int, version: int, body: bytes, *, tags: bytes = b"") -> bytes:
    """The answer without its length; empty where the connection is ended instead."""
    request = struct.pack(">hhih", api, version, 7, 4) + b"test" + tags + body
    client.sendall(struct.pack(">i", len(request)) + request)
    with client.makefile("rb") as stream:
        head = stream.read(4)
        return stream.read(struct.unpack(">i", head)[0]) if head else b""


def handshake(client: socket.socket, mechanism: str) -> int:
    answer = ask(client, _HANDSHAKE, 1, struct.pack(">h", len(mechanism)) + mechanism.encode())
    return int(struct.unpack_from(">h", answer, 4)[0])


def metadata(client: socket.socket) -> bytes:
    return ask(client, _METADATA, 1, struct.pack(">i", 0))


@pytest.mark.parametrize("mechanism", ["PLAIN", None])
def test_nothing_but_a_proof_is_answered_before_one(mechanism: str | None, client: socket.socket) -> None:
    assert mechanism is None or handshake(client, mechanism) == 0
    assert metadata(client) == b""


@pytest.mark.parametrize(
    ("version", "token", "tags"),
    [
        (0, struct.pack(">i", 11) + b"\0ann\0secret", b""),
        (1, struct.pack(">i", 11) + b"\0ann\0secret", b""),
        # Flexible: lengths are one more, in a varint, and tagged fields end the header (one, of 3 bytes) and the body.
        (2, b"\x0c\0ann\0secret\0", b"\x01\x05\x03abc"),
    ],
)
def test_a_proof_opens_the_way_in_every_version(version: int, token: bytes, tags: bytes, client: socket.socket) -> None:
    assert handshake(client, "PLAIN") == 0
    answer = ask(client, _AUTHENTICATE, version, token, tags=tags)
    assert struct.unpack_from(">h", answer, 5 if version == 2 else 4) == (0,)
    assert b"127.0.0.1" in metadata(client)


@pytest.mark.parametrize("token", [b"\0ann\0wrong", b"\0bob\0secret", b"ann", b"", b"\0\0", b"\xff\xfe\0a\0b"])
def test_a_wrong_proof_ends_it(token: bytes, client: socket.socket) -> None:
    assert handshake(client, "PLAIN") == 0
    answer = ask(client, _AUTHENTICATE, 1, struct.pack(">i", len(token)) + token)
    assert struct.unpack_from(">h", answer, 4) == (_UNKNOWN,)
    assert client.recv(1) == b""


@pytest.mark.parametrize("first", [b"n,,n=bob,r=abc", b"y,,n=ann,r=abc", b"n,a=eve,n=ann,r=abc", b"\xff", b"", b"n,,"])
def test_no_scram_begins_with_it(first: bytes, client: socket.socket) -> None:
    assert handshake(client, "SCRAM-SHA-256") == 0
    answer = ask(client, _AUTHENTICATE, 1, struct.pack(">i", len(first)) + first)
    assert struct.unpack_from(">h", answer, 4) == (_UNKNOWN,)


def test_a_proof_of_nothing_is_none(client: socket.socket) -> None:
    assert handshake(client, "SCRAM-SHA-256") == 0
    first = b"n,,n=ann,r=abc"
    challenge = ask(client, _AUTHENTICATE, 1, struct.pack(">i", len(first)) + first)
    nonce = challenge[challenge.index(b"r=") + 2 : challenge.index(b",s=")]
    last = b"c=biws,r=" + nonce + b",p="
    answer = ask(client, _AUTHENTICATE, 1, struct.pack(">i", len(last)) + last)
    assert struct.unpack_from(">h", answer, 4) == (_UNKNOWN,)


def test_another_mechanism_is_refused_with_those_there_are(client: socket.socket) -> None:
    assert handshake(client, "SCRAM-SHA-512") == _UNSUPPORTED
    assert client.recv(1) == b""


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00\x01", struct.pack(">i", 3) + b"abc", struct.pack(">i", -1)])
def test_what_is_no_request_ends_it(raw: bytes, client: socket.socket) -> None:
    client.sendall(raw)
    assert client.recv(1) == b""
