"""`streakline compact`: the lake's small files made few, and old measurements of bases deleted."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode, bad_input, not_installed
from streakline.cli.options import Lake, settings_of, topic_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.lake.compact import Done

_DAY_SECONDS = 86_400.0


def compact(
    *,
    lake: Lake = None,
    keep_base_days: Annotated[
        float,
        typer.Option(help="measurements of bases that no diff has used for longer are deleted", min=0),
    ] = 30.0,
) -> None:
    """Merge the small Parquet files of the lake, and delete what its diffs no longer need. Readers lose no row.

    Diffs of all projects and days become one file of each table, steps and signals one of each partition, up to a size.
    What merged files hold goes an hour later. When a base was last used is known to Redis: without it all are kept.
    It may be killed, run again, and run beside diff workers and archivers.
    """
    from streakline.extras import missing_for_diffs
    from workers.settings import DiffSettings

    root = settings_of(DiffSettings, lake=lake).lake
    if (missing := missing_for_diffs()) is not None:
        raise not_installed("compacting", missing, "workers")
    now = time.time()
    _compact_files(root, now)
    _prune_bases(root, keep_base_days, now)


def _compact_files(root: str, now: float) -> None:
    from producers.topics import topic_names
    from streakline.cli.output import say
    from streakline.cli.text import printable
    from workers.archive.compact import compact_archive
    from workers.archive.intake import markers
    from workers.lake.compact import compact as compact_diffs
    from workers.uris import said, shown

    try:
        done = [*compact_diffs(root, now=now), *compact_archive(root, markers(topic_names(topic_settings())), now=now)]
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except OSError as error:
        raise bad_input(
            f"the lake {shown(root)} cannot be compacted ({said(error, root)}): see to its disk, then run it again"
        ) from None
    for each in done:
        into = "" if each.into is None else f" into {each.into}"
        say(printable(f"{each.action} {_files(len(each.names))} of {each.folder}{into}"))
    say(summary(done))


def summary(done: "Sequence[Done]") -> str:
    """One line of what was done.

    >>> summary([])
    'nothing to compact'
    """
    merged = sum(len(each.names) for each in done if each.action == "compacted")
    into = sum(each.action == "compacted" for each in done)
    gone = sum(len(each.names) for each in done if each.action != "compacted")
    parts = [f"{_files(merged)} merged into {into:,}"] if merged else []
    parts += [f"{_files(gone)} deleted"] if gone else []
    return ", ".join(parts) or "nothing to compact"


def _prune_bases(root: str, keep_days: float, now: float) -> None:
    from producers.redis.client import RedisAway, reach
    from producers.redis.settings import RedisSettings
    from streakline.cli.output import say
    from workers.base_cache import BaseIndex, prune
    from workers.lake.writer import Lake as OpenLake

    try:
        client = reach(settings_of(RedisSettings).redis_url)
        if client is None:
            say("measurements of bases are all kept: no Redis answers, so when they were last used is not known")
            return
        index = BaseIndex(client, topic_settings().topic_prefix)
        deleted = prune(OpenLake(root), index, keep_days * _DAY_SECONDS, now)
    except RedisAway as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    what = "1 measurement of a base" if deleted == 1 else f"{deleted:,} measurements of bases"
    say(f"deleted {what} that no diff has used for {keep_days:g} days")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
