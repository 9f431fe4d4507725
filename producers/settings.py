"""The one settings loader: a frozen struct's fields from ``STREAKLINE_…`` environment variables."""

import os
from collections.abc import Mapping
from typing import TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

PREFIX = "STREAKLINE_"


class SettingsError(ValueError):
    """A setting that cannot be right; the message names the variable."""


def load_settings(kind: type[S], environ: Mapping[str, str] | None = None) -> S:
    """A `kind` from ``STREAKLINE_<FIELD>`` for each of its fields; an unset or empty variable leaves the default.

    Raises `SettingsError` naming the variable and what it should have been.
    """
    environ = os.environ if environ is None else environ
    names = {field.name: PREFIX + field.name.upper() for field in msgspec.structs.fields(kind)}
    values = {field: environ[name] for field, name in names.items() if environ.get(name)}
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`").split(".")[0].split("[")[0]
        raise SettingsError(f"{names[field]}: {reason}" if field in names else str(error)) from None


def to_environ(settings: msgspec.Struct) -> dict[str, str]:
    """The variables from which `load_settings` makes `settings` again; one that is None is empty, which is unset.

    >>> from producers.topics import TopicSettings
    >>> to_environ(TopicSettings(partitions=4))["STREAKLINE_PARTITIONS"]
    '4'
    """
    values = msgspec.structs.asdict(settings)
    return {PREFIX + name.upper(): "" if value is None else str(value) for name, value in values.items()}
