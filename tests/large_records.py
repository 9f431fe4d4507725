"""Records that are larger than anything may be: a batch is limited in what it takes compressed, its records are not."""

from confluent_kafka import Message

from producers.dead_letters import MAX_KEY_BYTES, MAX_VALUE_BYTES
from tests.worker import header
from tests.workload import Published

LARGE = [Published(b"run", b" " * (40 << 20)), Published(b"k" * (40 << 20), b"{")]

Sizes = tuple[int, int, str, str]
"""of key and value, and what a letter says that they were where they were cut"""


def sizes(letter: Message) -> Sizes:
    """Of a letter."""
    cut = header(letter, "original-key-bytes"), header(letter, "original-bytes")
    return len(letter.key() or b""), len(letter.value() or b""), *cut


def sizes_of_its_letter(record: Published) -> Sizes:
    """What a letter of `record` has to be."""
    key, value = len(record.key or b""), len(record.value)
    cut = str(key) if key > MAX_KEY_BYTES else "", str(value) if value > MAX_VALUE_BYTES else ""
    return min(key, MAX_KEY_BYTES), min(value, MAX_VALUE_BYTES), *cut
