"""Brings folders from object stores onto this machine, whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from workers.errors import DiffError, TransientDiffError
from workers.uris import said, shown

MAX_FILES = 4096
MAX_BYTES = 512 * 2**30
BLOCK_BYTES = 8 * 2**20
SUFFIXES = (".safetensors", ".json", ".jsonl")
NAMES = frozenset({"merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "ae.pt"})
WHOLE = frozenset({"config.json", "adapter_config.json"})


def default_cache() -> Path:
    """Where downloads are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streakline" / "models"


def download(uri: str, kind: str, cache: Path) -> Path:
    """The local copy of the folder or file at `uri`: what is there already is used as long as the listing agrees.

    Only what is ever read is brought: safetensors, JSON, tokenizers, ``ae.pt``. Raises DiffError.
    """
    named = shown(uri)
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
        files = _listing(filesystem, path)
        if files is None:
            raise DiffError("missing", f"The {kind} {named!r} is not there. Save it there, or correct the address.")
        _check_size(files, named, kind, cache)
        target = cache / _key(named, files)
        if not target.exists():
            _copy(filesystem, path, files, target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DiffError(
            "outside_roots",
            f"The {kind} {named!r} has an address that cannot be read here ({said(error, uri)}). "
            "Name a folder, s3://… or gs://… under STREAKLINE_MODEL_ROOTS.",
        ) from None
    except OSError as error:
        raise TransientDiffError(
            "unavailable",
            f"The {kind} {named!r} could not be brought here ({said(error, uri)}). "
            "Check the store and this worker's credentials.",
        ) from None
    single = len(files) == 1 and files[0].path == path
    return target / PurePosixPath(path).name if single else target


def _listing(filesystem: fs.FileSystem, path: str) -> list[fs.FileInfo] | None:
    info = filesystem.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        return None
    if info.type == fs.FileType.File:
        return [info]
    infos = filesystem.get_file_info(fs.FileSelector(path, recursive=False))
    # A checkpoint's own folder is flat; below it may lie those of earlier steps. SAEs lie in a folder per layer.
    if not any(found.base_name in WHOLE for found in infos):
        infos = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    files = [found for found in infos if found.type == fs.FileType.File and _is_wanted(found.base_name)]
    return sorted(files, key=lambda found: str(found.path))


def _is_wanted(name: str) -> bool:
    return name in NAMES or name.endswith(SUFFIXES)


def _check_size(files: Sequence[fs.FileInfo], named: str, kind: str, cache: Path) -> None:
    if not files:
        raise DiffError("missing", f"The {kind} {named!r} has no safetensors or JSON files in it. Name its own folder.")
    size = sum(found.size for found in files)
    if len(files) > MAX_FILES or size > MAX_BYTES:
        raise DiffError(
            "outside_roots",
            f"The {kind} {named!r} has {len(files)} files and {size} bytes, more than are brought here. "
            "Name the folder of one model.",
        )
    cache.mkdir(parents=True, exist_ok=True)
    if size > (free := shutil.disk_usage(cache).free):
        raise TransientDiffError(
            "unavailable", f"The {kind} {named!r} takes {size} bytes and {cache} has {free} left. Clear that folder."
        )


def _key(named: str, files: Sequence[fs.FileInfo]) -> str:
    listing = [(str(found.path), found.size, found.mtime_ns) for found in files]
    return hashlib.sha256(repr((named, listing)).encode()).hexdigest()[:32]


def _copy(filesystem: fs.FileSystem, path: str, files: Sequence[fs.FileInfo], target: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    try:
        for found in files:
            source = PurePosixPath(found.path)
            relative = source.name if found.path == path else source.relative_to(PurePosixPath(path))
            local = partial / relative
            if ".." in local.parts:
                raise OSError(f"{found.path} has a name that leads out of its folder")
            local.parent.mkdir(parents=True, exist_ok=True)
            with filesystem.open_input_stream(found.path) as stream, local.open("wb") as out:
                while block := stream.read(BLOCK_BYTES):
                    out.write(block)
        try:
            partial.rename(target)
        except OSError:
            # Another worker of this machine was faster with the same files.
            if not target.exists():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
