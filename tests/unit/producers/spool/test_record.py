"""Whatever happens to a file of records: whole ones are found, and nothing is made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.codec import MAX_EVENT_BYTES
from producers.spool.record import Record, Topic, pack, unpack

# As events are: UTF-8 JSON, in which no record can stand, for a control character is escaped there.
texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)
records = st.lists(
    st.builds(Record, st.sampled_from([Topic.STEPS, Topic.RUNS, Topic.BOTH]), texts.map(str.encode)), max_size=8
)


def read(buffer: bytes) -> list[Record]:
    return [record for record, _ in unpack(buffer)]


@given(records)
def test_what_is_packed_is_read(wanted: list[Record]) -> None:
    packed = [pack(record) for record in wanted]
    ends = [sum(map(len, packed[: index + 1])) for index in range(len(packed))]
    assert list(unpack(b"".join(packed))) == list(zip(wanted, ends, strict=True))


@given(records, st.data())
def test_a_torn_end_costs_the_torn_record(wanted: list[Record], data: st.DataObject) -> None:
    packed = b"".join(map(pack, wanted))
    cut = data.draw(st.integers(0, len(packed)))
    whole = [record for record, end in unpack(packed) if end <= cut]
    assert read(packed[:cut]) == whole


@given(records.filter(bool), st.data())
def test_a_changed_byte_costs_the_record_that_it_is_in(wanted: list[Record], data: st.DataObject) -> None:
    packed = bytearray(b"".join(map(pack, wanted)))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    ends = [end for _, end in unpack(b"".join(map(pack, wanted)))]
    hit = next(index for index, end in enumerate(ends) if place < end)
    assert read(bytes(packed)) == wanted[:hit] + wanted[hit + 1 :]


@given(st.binary(max_size=300))
def test_garbage_between_records_is_passed_over(garbage: bytes) -> None:
    one, two = Record(Topic.STEPS, b'{"a":1}'), Record(Topic.BOTH, b'{"b":2}')
    assert read(pack(one) + garbage + pack(two)) in ([one, two], [one, *read(garbage), two])


def test_letters_that_hold_the_marker_hide_nothing_behind_them() -> None:
    torn, behind = Record(Topic.BOTH, "å".encode() * 20_000), Record(Topic.STEPS, b"{}")
    assert b"\xa5" in torn.raw
    assert read(b"\x00" + pack(torn)[1:] + pack(behind)) == [behind]


@pytest.mark.parametrize("byte", [b"\xa5", b"\x00", b"\x01"])
def test_a_file_of_nothing_ends_soon(byte: bytes) -> None:
    assert read(byte * (1 << 20)) == []
    # Each of these begins a record of the greatest length, and costs a checksum.
    header = b"\xa5\x01" + MAX_EVENT_BYTES.to_bytes(4, "little") + bytes(4)
    assert read(header * 200_000) == []
