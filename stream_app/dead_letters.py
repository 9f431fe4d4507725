"""The dead letters: a record that could not be applied, as it came, with why and whence in its headers."""

from stream_app.raw_records import Refusal

# What does not fit is cut, so that no record can be too large to refuse.
MAX_VALUE_BYTES = 4 << 20


def headers_of(refusal: Refusal, topic: str) -> list[tuple[str, bytes]]:
    """UTF-8 text throughout; ``original-bytes`` only where the value had to be cut."""
    record = refusal.record
    headers = {
        "reason": refusal.reason,
        "detail": refusal.detail[:1000],
        "source-topic": topic,
        "source-partition": str(record.partition),
        "source-offset": str(record.offset),
    }
    size = len(record.value or b"")
    if size > MAX_VALUE_BYTES:
        headers["original-bytes"] = str(size)
    return [(name, text.encode(errors="replace")) for name, text in headers.items()]


def value_of(refusal: Refusal) -> bytes | None:
    """The record's value, at most its first 4 MiB."""
    value = refusal.record.value
    return None if value is None else value[:MAX_VALUE_BYTES]
