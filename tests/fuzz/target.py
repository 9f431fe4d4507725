"""What is fuzzed: a way to decode bytes, and all that it may say of those it cannot."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

CORPUS = Path(__file__).parent / "corpus"


Read = Callable[[Path], object]
Fill = Callable[[Path], object]
"""puts files into a folder"""


class Target(Struct, frozen=True, kw_only=True):
    """One decoder."""

    name: str
    """of its folder in the corpus, too"""
    decode: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...] = ()
    """the errors that it documents; any other is a find"""
    is_slow: bool = False
    """takes milliseconds and more: it is tried with little in CI"""

    def run(self, raw: bytes) -> None:
        """Decode `raw`; raises what is a find."""
        with contextlib.suppress(*self.allowed):
            self.decode(raw)

    def seeds(self) -> list[bytes]:
        """The corpus, in the order of its names."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())]


def of_file(name: str, read: Read, *, beside: Fill = lambda _: None) -> Callable[[bytes], object]:
    """Decodes bytes by having `read` read a file of that name; `beside` is told the folder once, to fill it."""
    kept: list[tempfile.TemporaryDirectory[str]] = []

    def decode(raw: bytes) -> object:
        if not kept:
            kept.append(tempfile.TemporaryDirectory(prefix="streakline-fuzz-"))
            beside(Path(kept[0].name))
        path = Path(kept[0].name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        return read(path)

    return decode


def of_folder(name: str, read: Read, *, beside: Fill = lambda _: None) -> Callable[[bytes], object]:
    """The same, `read` being told the folder."""
    return of_file(name, lambda path: read(path.parent), beside=beside)
