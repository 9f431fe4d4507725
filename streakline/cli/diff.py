"""`streakline diff`: one model diff by hand."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from producers.events import DEFAULT_PROJECT
from streakline.cli.errors import CommandError, ExitCode, not_installed
from streakline.cli.options import Device, Lake, Precision, settings_of, topic_settings

if TYPE_CHECKING:
    from streakline.cli.diff_figures import Figures
    from workers.base_cache import BaseCache
    from workers.jobs import DiffJob
    from workers.lake.writer import Lake as OpenLake
    from workers.settings import DiffSettings


def diff(
    base: Annotated[str, typer.Argument(metavar="BASE", help="folder or URI of the base model", show_default=False)],
    ft: Annotated[
        str,
        typer.Argument(metavar="FT", help="folder or URI of the checkpoint, whole or an adapter", show_default=False),
    ],
    *,
    eval_set: Annotated[
        str | None,
        typer.Option("--eval", metavar="FILE.jsonl", help="probes; by default those that ship with Streakline"),
    ] = None,
    saes: Annotated[
        list[str] | None,
        typer.Option("--sae", metavar="DIR", help="an SAE of one layer of the base; once for each layer"),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="DIR", help="by default the checkpoint's own, else the base's")
    ] = None,
    run_id: Annotated[str | None, typer.Option(help="by default made of the name of the checkpoint's folder")] = None,
    project: Annotated[str, typer.Option(help="the project the run belongs to")] = DEFAULT_PROJECT,
    lake: Lake = None,
    device: Device = None,
    dtype: Precision = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON document, for a script to read")] = False,
) -> None:
    """Compare a checkpoint with its base, as a diff worker would: no Kafka, and no Redis unless one answers.

    What is found is shown, and goes into the lake. Only the folders and files that are named here are read, and those
    that STREAKLINE_MODEL_ROOTS, _PROBES and _SAES name. The run counts as completed when the newest file of the
    checkpoint was written, so that doing it again gives the same bytes under the same name.
    """
    from streakline.cli.by_hand import job_by_hand
    from streakline.cli.diff_table import print_figures
    from streakline.extras import missing_for_diffs
    from workers.settings import DiffSettings

    settings = settings_of(DiffSettings, lake=lake, device=device, dtype=dtype)
    if (missing := missing_for_diffs()) is not None:
        raise not_installed("a model diff", missing, "workers")
    job = job_by_hand(base, ft, eval_set=eval_set, saes=saes or (), tokenizer=tokenizer, run_id=run_id, project=project)
    found = _made(job, settings)
    if json:
        _print_json(found)
    else:
        print_figures(found)


def _made(job: "DiffJob", settings: "DiffSettings") -> "Figures":
    """Make the diff, unless the lake has it, and read its figures back. Raises `DiffError`, `CommandError`."""
    from producers.redis.client import RedisAway
    from streakline.cli.diff_figures import figures
    from streakline.cli.progress import diff_progress
    from workers.diff import DiffMaker
    from workers.lake.writer import Lake as OpenLake
    from workers.models.loading import pick_device
    from workers.uris import shown

    try:
        pick_device(settings.device)
        lake = OpenLake(settings.lake)
        make = DiffMaker(settings, cache=_base_cache(lake), roots=_roots(job, settings))
    except (ValueError, RedisAway) as error:
        raise CommandError(f"the diff cannot be made: {error}", ExitCode.USAGE) from None
    with diff_progress() as progress:
        event = make(job, progress)
    return figures(lake, shown(settings.lake), job.day, event)


def _base_cache(lake: "OpenLake") -> "BaseCache":
    """With a lock on each base where Redis answers. Raises `RedisAway` for a URL that is none."""
    from producers.redis.client import reach
    from workers.base_cache import BaseCache, BaseIndex
    from workers.coordination.leases import Leases
    from workers.settings import DiffWorkerSettings

    settings = settings_of(DiffWorkerSettings)
    client = reach(settings.redis_url)
    if client is None:
        return BaseCache(lake, None, None)
    prefix = topic_settings().topic_prefix
    return BaseCache(lake, Leases(client, prefix, settings.lease_seconds), BaseIndex(client, prefix))


def _roots(job: "DiffJob", settings: "DiffSettings") -> list[str]:
    from streakline.cli.by_hand import absolute, places

    named = [*places(job), *map(absolute, settings.sae_folders)]
    if settings.probes is not None:
        named.append(absolute(settings.probes))
    return named + (list(settings.roots) if "STREAKLINE_MODEL_ROOTS" in os.environ else [])


def _print_json(found: "Figures") -> None:
    import msgspec

    from streakline.cli.output import standard_output

    with standard_output() as output:
        output.json_line(msgspec.json.encode(found))
