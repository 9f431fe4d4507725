"""Detectors that installed packages bring: each a pure function with a small memory of its own, asked after ours."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from producers.events import SignalType
from stream_app.engine.reading import Finding, Reading
from stream_app.engine.state import MAX_OWN_STATE_BYTES

MAX_ERROR_CHARACTERS = 300

S = TypeVar("S", bound=Struct)
B = TypeVar("B", bound=Struct)

_encoder = msgspec.msgpack.Encoder()
_finding_decoder = msgspec.msgpack.Decoder(Finding)


class OwnDetector(Generic[S, B]):
    """What a package offers under the entry point group ``streakline.detectors``; its name is the signal's type.

    `judge` gets every step that counts, what it remembered of the run, and its bounds in the run's project. It gives
    what it is to remember, and what it found, if anything. It must be pure: no clock, no chance, no I/O, nothing kept
    elsewhere and nothing it was given changed; else a replay of the steps gives other signals than there were.
    """

    def __init__(
        self, judge: Callable[[Reading, S, B], tuple[S, Finding | None]], *, memory: type[S], bounds: type[B]
    ) -> None:
        """`memory` and `bounds` are structs with a default for every field: a run's beginning, and a deployment's.

        Raises TypeError where one of them is not.
        """
        for kind in (memory, bounds):
            if not (isinstance(kind, type) and issubclass(kind, Struct)):
                raise TypeError(f"{kind!r} is no msgspec.Struct")
        self._judge = judge
        self._memory = memory
        self._beginning = _encoder.encode(memory())
        self._decoder = msgspec.msgpack.Decoder(memory)
        self.bounds = bounds
        bounds()

    def named(self, type_: SignalType, bounds: B | None = None) -> "OwnJudge":
        """The detector as a project has it; by its default bounds unless others are given."""
        return OwnJudge(type_, self, self.bounds() if bounds is None else bounds)

    def __call__(self, reading: Reading, remembered: bytes | None, bounds: B) -> tuple[bytes, Finding | None]:
        """What to remember, encoded, and what it found, seen to be a finding. Raises whatever is wrong."""
        before = self._decoder.decode(self._beginning if remembered is None else remembered)
        after, finding = self._judge(reading, before, bounds)
        if not isinstance(after, self._memory):
            raise TypeError(f"it remembers a {type(after).__name__}, not a {self._memory.__name__}")
        raw = _encoder.encode(after)
        if len(raw) > MAX_OWN_STATE_BYTES:
            raise ValueError(f"it remembers {len(raw):,} bytes of one run; there is room for {MAX_OWN_STATE_BYTES:,}")
        # Encoded and decoded: a struct's fields are not looked at when it is made.
        return raw, None if finding is None else _finding_decoder.decode(_encoder.encode(finding))


class OwnJudge:
    """An installed detector with its type, and its bounds in one project."""

    def __init__(self, type_: SignalType, detector: OwnDetector[Any, Any], bounds: Struct) -> None:
        self.type = type_
        self.detector = detector
        self.bounds = bounds

    def with_bounds(self, values: Mapping[str, float]) -> "OwnJudge":
        """The same by other bounds, the default for those that are not given. Raises ValueError."""
        kind = self.detector.bounds
        known = [field.encode_name for field in fields(kind)]
        if unknown := values.keys() - set(known):
            raise ValueError(
                f"{self.type!r} has no bound {', '.join(sorted(unknown))}; it has {', '.join(known) or 'none'}"
            )
        try:
            return OwnJudge(self.type, self.detector, msgspec.convert(values, kind))
        except msgspec.ValidationError as error:
            raise ValueError(f"{self.type!r} cannot have these bounds: {error}") from None


class OwnFailure(Struct, frozen=True):
    """A detector failed on a step, and so said nothing of it."""

    type: SignalType
    run_id: str
    step: int
    error: str

    @property
    def sentence(self) -> str:
        """What there is to say of it; may hold anything that the error's text does."""
        return (
            f"the detector {self.type} failed on step {self.step} of run {self.run_id}, and said nothing of it: "
            f"{self.error}"
        )


class OwnOutcome(Struct, frozen=True):
    """What the installed detectors made of one step."""

    memories: dict[str, bytes]
    findings: Sequence[tuple[SignalType, Finding]]
    failures: tuple[OwnFailure, ...]


def ask_own(judges: Sequence[OwnJudge], reading: Reading, memories: Mapping[str, bytes]) -> OwnOutcome:
    """What all of `judges` make of one step, in their order; what any other remembered is forgotten.

    One that raises begins anew with the next step: what it remembers is short of this one, or the reason.
    """
    after: dict[str, bytes] = {}
    findings: list[tuple[SignalType, Finding]] = []
    failures: list[OwnFailure] = []
    for judge in judges:
        try:
            after[judge.type], finding = judge.detector(reading, memories.get(judge.type), judge.bounds)
        except Exception as error:  # whatever it is, the others have their say
            # Even its text is the package's own code.
            said = "".join(traceback.format_exception_only(error)).strip()[:MAX_ERROR_CHARACTERS]
            failures.append(OwnFailure(judge.type, reading.event.run_id, reading.event.step, said))
            continue
        if finding is not None:
            findings.append((judge.type, finding))
    return OwnOutcome(after, findings, tuple(failures))
