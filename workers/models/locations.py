"""Where checkpoints, probes and SAEs may lie: only under the roots, so that an event cannot have any file read."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from workers.errors import DiffError
from workers.models import remote
from workers.uris import said, shown

REFUSED_SCHEMES = ("http", "https", "ftp")


def find(uri: str, roots: Sequence[str], kind: str, *, cache: Path | None = None) -> Path:
    """The local folder or file behind `uri`, which lies under one of `roots`; `kind` is the word errors call it by.

    What lies elsewhere (``s3://…``, ``gs://…``) is downloaded into `cache` first. Raises DiffError.
    """
    try:
        return _find(uri, [root.strip() for root in roots if root.strip()], kind, cache)
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a name too long, a loop of links, no permission
        raise DiffError(
            "missing",
            f"The {kind} {shown(uri)!r} cannot be looked up ({said(error, uri)}). "
            "Correct the path, or who may read it.",
        ) from error


def _find(uri: str, roots: Sequence[str], kind: str, cache: Path | None) -> Path:
    scheme = _scheme(uri)
    if scheme in {"", "file"}:
        return _find_local(uri, [_local(root) for root in roots if _scheme(root) in {"", "file"}], kind)
    remote_roots = [urlsplit(root) for root in roots if _scheme(root) == scheme]
    allowed = None if scheme in REFUSED_SCHEMES else _under_remote(uri, remote_roots)
    if allowed is None:
        raise _outside(uri, kind)
    return remote.download(allowed, kind, cache or remote.default_cache())


def _find_local(uri: str, roots: Sequence[Path], kind: str) -> Path:
    path = _local(uri)
    if not _is_under(path, roots):
        raise _outside(uri, kind)
    if not path.exists():
        raise DiffError(
            "missing", f"The {kind} {shown(uri)!r} is not there ({path}). Save it there, or correct the path."
        )
    for parent, folders, files in os.walk(path):
        for child in (Path(parent, name) for name in [*folders, *files]):
            if child.is_symlink() and not _is_under(child.resolve(), roots):
                raise _outside(str(child), kind)
    return path


def _scheme(uri: str) -> str:
    head, found, _ = uri.partition("://")
    if found:
        return head.lower()
    return "file" if uri.lower().startswith("file:") else ""


def _local(uri: str) -> Path:
    if _scheme(uri) != "file":
        return Path(uri).resolve()
    parts = urlsplit(uri)
    # A path on another host is no path here: it comes out under no root.
    return Path(unquote(parts.path)).resolve() if parts.netloc in {"", "localhost"} else Path("//", parts.netloc)


def _is_under(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _under_remote(uri: str, roots: Sequence[SplitResult]) -> str | None:
    """`uri` with the access of the root it lies under: queries and users name servers, which is the operator's word."""
    parts = urlsplit(uri)
    if parts.query or parts.fragment or "@" in parts.netloc:
        return None
    path = _absolute(parts.path)
    if ".." in path.parts:
        return None
    for root in roots:
        if parts.netloc == root.netloc.rpartition("@")[2] and path.is_relative_to(_absolute(root.path)):
            return urlunsplit((parts.scheme, root.netloc, parts.path, root.query, ""))
    return None


def _absolute(path: str) -> PurePosixPath:
    return PurePosixPath("/" + unquote(path).strip("/"))


def _outside(uri: str, kind: str) -> DiffError:
    return DiffError(
        "outside_roots",
        f"The {kind} {shown(uri)!r} lies under none of the roots that this worker may read. "
        "Move it there, or add its folder or bucket to STREAKLINE_MODEL_ROOTS.",
    )
