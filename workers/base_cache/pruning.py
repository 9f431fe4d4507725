"""Deletes measurements of bases that nobody has used for long. May be killed anywhere, and run twice at once."""

import logging

from msgspec.structs import replace

from workers.base_cache.index import BaseIndex, BaseUse
from workers.base_cache.storage import DamagedEntry, delete, read_entry, sizes
from workers.errors import TransientDiffError
from workers.lake.writer import Lake

logger = logging.getLogger("streakline.diff")


def prune(lake: Lake, index: BaseIndex, idle_seconds: float, now: float) -> int:
    """Delete what was last used more than `idle_seconds` before `now`, in Unix seconds; gives how many.

    What `index` knows nothing of, since Redis was emptied or its writer died, counts as used now. Raises `RedisAway`,
    and `TransientDiffError` where the lake cannot be listed; a diff that is reading what goes measures again.
    """
    # In this order: what is written meanwhile is not taken for gone.
    uses = index.all()
    kept = sizes(lake)
    for digest in uses.keys() - kept.keys():
        index.forget(digest)
    deleted = 0
    for digest, size in sorted(kept.items()):
        use = uses.get(digest)
        if use is None:
            index.used(digest, BaseUse(base_model="", base_sha=_base_sha(lake, digest), bytes=size, used_at=now))
        elif use.used_at > now:
            index.used(digest, replace(use, used_at=now))
        elif now - use.used_at > idle_seconds and _is_deleted(lake, digest):
            index.forget(digest)
            deleted += 1
    return deleted


def _base_sha(lake: Lake, digest: str) -> str:
    try:
        entry = read_entry(lake, digest)
    except (DamagedEntry, TransientDiffError):
        return ""
    return "" if entry is None else entry.key.base_sha


def _is_deleted(lake: Lake, digest: str) -> bool:
    try:
        delete(lake, digest)
    except TransientDiffError as error:
        # Others may go all the same; this one, the next time.
        logger.warning("the measurement %s of a base could not be deleted: %s", digest, error)
        return False
    return True
