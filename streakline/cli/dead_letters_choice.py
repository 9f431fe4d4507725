"""Which dead letters are to be requeued, and which cannot be. Pure."""

import hashlib
from collections.abc import Collection

from msgspec import Struct

from producers.acknowledged import MAX_RAW_BYTES
from producers.dead_letters import LetterId
from streakline.cli.dead_letters_reading import DeadLetter


class Choice(Struct, frozen=True, kw_only=True):
    """What somebody asked for: letters by their ids, or all that are like this."""

    ids: frozenset[LetterId] = frozenset()
    reason: str | None = None
    source_topic: str | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether it was asked for."""
        if self.ids:
            return LetterId(letter.partition, letter.offset) in self.ids
        return self.reason in {None, letter.reason} and self.source_topic in {None, letter.source_topic}


class Requeued:
    """The letters that became letters again after somebody requeued them.

    A header alone is not believed: whoever may write to a topic could hide another's letter with it. The letter that
    came of it has to be of the same record.
    """

    def __init__(self) -> None:
        self._known: set[tuple[str, bytes]] = set()

    def note(self, letter: DeadLetter, key: bytes | None) -> None:
        """Look at one letter."""
        if letter.requeued_from is not None:
            self._known.add((letter.requeued_from, _digest(letter, key)))

    def has(self, letter: DeadLetter, key: bytes | None) -> bool:
        """Whether it has been requeued to no avail, or is what came of that."""
        if letter.requeued_from is not None:
            return True
        return bool(self._known) and (letter.id, _digest(letter, key)) in self._known


def obstacle(letter: DeadLetter, key: bytes | None, topics: Collection[str]) -> str | None:
    """Why it cannot be published on one of `topics`, where it cannot."""
    if letter.source_topic not in topics:
        return f"it does not say that it came from {', '.join(topics)}"
    if letter.source_first_offset is not None:
        return "it is a whole batch that could not be read, and no record"
    value = letter.value or b""
    if letter.original_bytes is not None:
        return f"only {len(value):,} bytes of its {letter.original_bytes:,} were kept"
    if letter.original_key_bytes is not None:
        return f"only {len(key or b''):,} bytes of its key's {letter.original_key_bytes:,} were kept"
    if len(value) + len(key or b"") > MAX_RAW_BYTES:
        return f"it is larger than the {MAX_RAW_BYTES:,} bytes that its topic takes"
    return None


def _digest(letter: DeadLetter, key: bytes | None) -> bytes:
    parts = ((letter.source_topic or "").encode(), key, letter.value)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"-" if part is None else b"%d:%b" % (len(part), part))
    return digest.digest()
