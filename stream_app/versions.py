"""Stored records that carry their version: read by the release that wrote them and every later one, by no earlier.

A version is raised whenever an earlier release would lose or misread what is stored: append to the record's upgrades
the function that makes the fields of the last version those of the next. Nothing else is needed.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct


class UnreadableRecord(RuntimeError):
    """Stored bytes that this release cannot read."""


class Versioned(Protocol):
    """An array, the first of whose fields says in what version the others are."""

    @property
    def version(self) -> int:
        """1 at first."""


Fields = list[Any]
"""of a record without its version, in their order"""
Upgrade = Callable[[Fields], Fields]
"""the fields of one version → those of the next"""

R = TypeVar("R", bound=Versioned)


class _Version(Struct, frozen=True, array_like=True):
    version: int


_version_decoder = msgspec.msgpack.Decoder(_Version)
_fields_decoder = msgspec.msgpack.Decoder(Fields)


def latest_version(upgrades: Sequence[Upgrade]) -> int:
    """The version that is written where `upgrades` lead from each to the next."""
    return 1 + len(upgrades)


class Reader(Generic[R]):
    """Reads records of one kind, whichever release wrote them."""

    def __init__(self, kind: type[R], what: str, upgrades: Sequence[Upgrade]) -> None:
        """`what` is what messages call a record; `upgrades[0]` makes version 2 of version 1."""
        self._kind = kind
        self._what = what
        self._upgrades = upgrades
        self._version = latest_version(upgrades)
        self._decoder = msgspec.msgpack.Decoder(kind)

    def read(self, raw: bytes) -> R:
        """The record in `raw`, upgraded where it is older. Raises `UnreadableRecord` for a newer one, and for none."""
        try:
            record = self._decoder.decode(raw)
            if record.version == self._version:
                return record
            # Another version of other fields may look like one of ours.
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if self._version_of(raw) == self._version:
                raise self._unreadable(error) from None
        return self._upgraded(raw, self._version_of(raw))

    def _version_of(self, raw: bytes) -> int:
        try:
            return _version_decoder.decode(raw).version
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from None

    def _upgraded(self, raw: bytes, version: int) -> R:
        if version > self._version:
            raise UnreadableRecord(
                f"the stored {self._what} is of version {version}, this release reads {self._version} at most: "
                "run the release that wrote it, or start anew with another STREAKLINE_TOPIC_PREFIX"
            )
        if version < 1:
            raise self._unreadable(ValueError(f"version {version}"))
        try:
            fields = _fields_decoder.decode(raw)[1:]
            for upgrade in self._upgrades[version - 1 :]:
                fields = upgrade(fields)
            return msgspec.convert([self._version, *fields], self._kind)
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> UnreadableRecord:
        return UnreadableRecord(
            f"the stored {self._what} cannot be read ({error}): start anew with another STREAKLINE_TOPIC_PREFIX"
        )
