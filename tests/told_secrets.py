"""Secrets as an operator sets them, each a word that is nowhere else, and a look for them wherever people look."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from streakline.processes import free_port


def _word(name: str) -> str:
    return f"{name}-{secrets.token_hex(8)}"


class Secrets(Struct, frozen=True):
    """Those that the settings take. None of them lets in: the servers are away, or refuse."""

    kafka: str
    redis: str
    store: str
    """of S3"""
    token: str
    """of the dashboard"""

    @classmethod
    def make(cls) -> "Secrets":
        """New ones."""
        return cls(*(_word(name) for name in ("kafka", "redis", "store", "token")))

    def store_uri(self, path: str, *, encoded: bool = True) -> str:
        """In a store that is away; where the secret's slash is not encoded it is no URI to any library."""
        secret = quote(f"a/{self.store}", safe="") if encoded else f"a/{self.store}"
        server = f"127.0.0.1:{free_port()}"
        return f"s3://KEY:{secret}@bucket/{path}?region=us-east-1&scheme=http&endpoint_override={server}"

    def environ(self, *, redis_port: int, lake: str) -> dict[str, str]:
        """All of them in the variables of the settings, which say as much as they can in their logs."""
        return {
            "STREAKLINE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "STREAKLINE_KAFKA_SASL_MECHANISM": "PLAIN",
            "STREAKLINE_KAFKA_SASL_USERNAME": "streakline",
            "STREAKLINE_KAFKA_SASL_PASSWORD": self.kafka,
            "STREAKLINE_REDIS_URL": f"redis://streakline:{self.redis}@127.0.0.1:{redis_port}/0",
            "STREAKLINE_DASHBOARD_TOKEN": self.token,
            "STREAKLINE_LAKE": lake,
            "STREAKLINE_MODEL_ROOTS": self.store_uri("models"),
            "STREAKLINE_LOG_LEVEL": "debug",
        }

    def told_in(self, text: bytes | str) -> list[str]:
        """Which of them `text` tells."""
        raw = text.encode() if isinstance(text, str) else text
        return [word for word in (self.kafka, self.redis, self.store, self.token) if word.encode() in raw]

    def files_that_tell(self, folder: Path) -> list[str]:
        """Of all in `folder`: those with a secret in their name or in them."""
        files = [path for path in folder.rglob("*") if path.is_file()]
        return [str(path) for path in files if self.told_in(str(path)) or self.told_in(path.read_bytes())]

    def command_lines_that_tell(self) -> list[str]:
        """Of all processes of this machine: what `ps` shows to every user of it."""
        return [line for line in _command_lines() if self.told_in(line)]


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode(errors="replace")
        except OSError:
            continue
