"""Where a key's records are: murmur2, as Java, aiokafka and librdkafka's `murmur2_random` compute it."""

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key` in a topic of so many.

    Source: ``org.apache.kafka.common.utils.Utils.murmur2`` and Austin Appleby's MurmurHash2, 32 bits.

    >>> partition_of(b"kafka", 8), partition_of(b"sft/7", 8)
    (4, 1)
    """
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    value = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _M & _MASK
        value = (value * _M & _MASK) ^ ((word ^ word >> 24) * _M & _MASK)
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * _M & _MASK
    value = (value ^ value >> 13) * _M & _MASK
    return value ^ value >> 15
