"""The one settings loader: a frozen struct's fields from ``STREAKLINE_…`` environment variables."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeVar, get_args, get_type_hints

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

PREFIX = "STREAKLINE_"
FILE = "_FILE"
LONGEST_SECRET_BYTES = 64 << 10

Secret = Annotated[str, "secret"]
"""The type of a field that may be in a file instead, as secrets are mounted: ``STREAKLINE_<FIELD>_FILE`` names it."""


class SettingsError(ValueError):
    """A setting that cannot be right; the message names the variable."""


def load_settings(kind: type[S], environ: Mapping[str, str] | None = None) -> S:
    """A `kind` from ``STREAKLINE_<FIELD>`` for each of its fields; an unset or empty variable leaves the default.

    A `Secret` whose variable is unset is read from the file that ``STREAKLINE_<FIELD>_FILE`` names, less the end of its
    line. Raises `SettingsError` naming the variable and what it should have been.
    """
    environ = os.environ if environ is None else environ
    names = {field.name: PREFIX + field.name.upper() for field in msgspec.structs.fields(kind)}
    values = {field: environ[name] for field, name in names.items() if environ.get(name)}
    for field in _secrets(kind):
        if field not in values and (path := environ.get(names[field] + FILE)):
            values[field] = _read(path, names[field] + FILE)
    for field, value in values.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SettingsError(f"{names[field]}: Expected UTF-8") from None
    try:
        settings = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`").split(".")[0].split("[")[0]
        raise SettingsError(f"{names[field]}: {reason}" if field in names else str(error)) from None
    for field, name in names.items():
        value = getattr(settings, field)
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"{name}: Expected a finite number")
    return settings


def _secrets(kind: type[msgspec.Struct]) -> Iterator[str]:
    hints = get_type_hints(kind, include_extras=True)
    return (name for name, hint in hints.items() if hint == Secret or Secret in get_args(hint))


def _read(path: str, variable: str) -> str:
    """What is in the file, which no message shows."""
    try:
        with Path(path).open("rb") as file:
            held = file.read(LONGEST_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"{variable}: {path!r} cannot be read ({reason})") from None
    if len(held) > LONGEST_SECRET_BYTES:
        raise SettingsError(f"{variable}: {path!r} is longer than {LONGEST_SECRET_BYTES} bytes, which no secret is")
    try:
        secret = held.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(f"{variable}: {path!r} is not UTF-8") from None
    if not secret:
        raise SettingsError(f"{variable}: {path!r} is empty")
    return secret


def to_environ(settings: msgspec.Struct) -> dict[str, str]:
    """The variables from which `load_settings` makes `settings` again; one that is None is empty, which is unset.

    >>> from producers.topics import TopicSettings
    >>> to_environ(TopicSettings(partitions=4))["STREAKLINE_PARTITIONS"]
    '4'
    """
    values = msgspec.structs.asdict(settings)
    return {PREFIX + name.upper(): "" if value is None else str(value) for name, value in values.items()}
