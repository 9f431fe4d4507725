"""Where events wait for the broker, and how much room they may take."""

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

_Bytes = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class SpoolSettings(Struct, frozen=True, kw_only=True):
    """Each field is the environment variable ``STREAKLINE_<FIELD>``."""

    spool_dir: str | None = None
    """unset: ``$XDG_STATE_HOME/streakline/spool``, which is in ``~/.local/state`` where that is not set"""
    spool_max_bytes: _Bytes = 256 << 20
    """of one publisher; 0 keeps nothing on disk"""
    spool_min_free_bytes: _Bytes = 1 << 30
    """the disk is taken for full when it has less than this free: the next checkpoint has to fit, too"""

    @property
    def root(self) -> Path:
        """The folder in which every publisher has one of its own. Raises RuntimeError where there is no home."""
        if self.spool_dir is not None:
            return Path(self.spool_dir).expanduser()
        state = os.environ.get("XDG_STATE_HOME")
        return (Path(state) if state else Path.home() / ".local" / "state") / "streakline" / "spool"
