"""As much of Kafka's wire protocol as somebody needs who asks clients for their name: frames, headers, SASL.

https://kafka.apache.org/protocol: a request is its length, its header and its body; from some version of each request
on ("flexible") lengths are varints, and headers and bodies end with tagged fields.
"""

import asyncio
import struct
from collections.abc import Sequence

from msgspec import Struct

API_VERSIONS = 18
SASL_HANDSHAKE = 17
SASL_AUTHENTICATE = 36

_FIRST_FLEXIBLE = {SASL_AUTHENTICATE: 2}
_MAX_FRAME_BYTES = 512 << 10
"""of a client that nobody knows yet, as Apache Kafka has it"""


class BadFrame(Exception):
    """Not what a Kafka client sends."""


class Request(Struct, frozen=True):
    """One request; `frame` is all of it but the length in front."""

    api: int
    version: int
    correlation_id: int
    body: bytes
    frame: bytes

    @property
    def is_flexible(self) -> bool:
        """Of the requests that are taken apart here."""
        return self.version >= _FIRST_FLEXIBLE.get(self.api, self.version + 1)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next one, without its length. Raises IncompleteReadError at the end, `BadFrame` for one that is too long."""
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    if not 0 <= size <= _MAX_FRAME_BYTES:
        raise BadFrame(f"a frame of {size} bytes")
    return await reader.readexactly(size)


def framed(payload: bytes) -> bytes:
    """With its length in front."""
    return struct.pack(">i", len(payload)) + payload


def parsed(frame: bytes) -> Request:
    """Raises `BadFrame` where the header is none."""
    try:
        api, version, correlation_id, client_bytes = struct.unpack_from(">hhih", frame)
    except struct.error:
        raise BadFrame("no header") from None
    request = Request(api, version, correlation_id, frame[10 + max(0, client_bytes) :], frame)
    if not request.is_flexible:
        return request
    return Request(api, version, correlation_id, _after_tags(request.body), frame)


def handshake_mechanism(request: Request) -> str:
    """The mechanism that a SaslHandshake asks for."""
    (size,) = struct.unpack_from(">h", request.body)
    return request.body[2 : 2 + size].decode()


def handshake_answer(request: Request, error: int, mechanisms: Sequence[str]) -> bytes:
    """The answer to it, with all that are served."""
    names = b"".join(struct.pack(">h", len(name)) + name.encode() for name in mechanisms)
    return framed(struct.pack(">ihi", request.correlation_id, error, len(mechanisms)) + names)


def token(request: Request) -> bytes:
    """What a SaslAuthenticate carries."""
    if request.is_flexible:
        size, start = _varint(request.body, 0)
        return request.body[start : start + size - 1]
    (size,) = struct.unpack_from(">i", request.body)
    return request.body[4 : 4 + size]


def token_answer(request: Request, error: int, message: str | None, answer: bytes) -> bytes:
    """The answer to it; the session has no end."""
    text = None if message is None else message.encode()
    if request.is_flexible:
        said = _varint_bytes(0) if text is None else _varint_bytes(len(text) + 1) + text
        body = said + _varint_bytes(len(answer) + 1) + answer + struct.pack(">q", 0)
        return framed(struct.pack(">ibh", request.correlation_id, 0, error) + body + b"\0")
    said = struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text
    lifetime = struct.pack(">q", 0) if request.version else b""
    return framed(
        struct.pack(">ih", request.correlation_id, error) + said + struct.pack(">i", len(answer)) + answer + lifetime
    )


def _after_tags(raw: bytes) -> bytes:
    count, at = _varint(raw, 0)
    for _ in range(count):
        _, at = _varint(raw, at)
        size, at = _varint(raw, at)
        at += size
    return raw[at:]


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """An unsigned one, and where it ends."""
    number = shift = 0
    while True:
        if at >= len(raw) or shift > 28:
            raise BadFrame("no number")
        byte = raw[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _varint_bytes(number: int) -> bytes:
    raw = bytearray()
    while number > 0x7F:
        raw.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(raw) + bytes([number])
