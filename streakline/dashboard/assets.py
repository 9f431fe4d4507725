"""Styles and scripts, held in memory; their address changes with what is in them, so that browsers may keep them."""

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from msgspec import Struct

from streakline.web.assets import FOLDER

_OWN = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css"}
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 4c4 0 4 8 7 8"
    "s3-9 7-9' fill='none' stroke='%231b5e9e' stroke-width='2.2' stroke-linecap='round'/%3E%3C/svg%3E"
)


class Asset(Struct, frozen=True):
    """One file."""

    body: bytes
    zipped: bytes
    content_type: str


class Assets:
    """Those that all pages share, and the dashboard's own."""

    def __init__(self, folders: Sequence[Path] = (FOLDER, _OWN)) -> None:
        self._files = {
            str(path.relative_to(folder)): _read(path)
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES
        }
        digest = hashlib.sha256()
        for name, asset in sorted(self._files.items()):
            digest.update(f"{name} {len(asset.body)} ".encode() + asset.body)
        self.version = digest.hexdigest()[:16]

    def path(self, name: str) -> str:
        """Where a page finds that file. Raises KeyError where there is none."""
        self._files[name]
        return f"/static/{self.version}/{name}"

    async def handle(self, request: web.Request) -> web.Response:
        """Serve one; those of another version are gone."""
        asset = self._files.get(request.match_info["name"])
        if asset is None or request.match_info["version"] != self.version:
            raise web.HTTPNotFound
        takes_zipped = "gzip" in request.headers.get("Accept-Encoding", "")
        body = asset.zipped if takes_zipped else asset.body
        response = web.Response(body=body, content_type=asset.content_type, charset="utf-8")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["Vary"] = "Accept-Encoding"
        if takes_zipped:
            response.headers["Content-Encoding"] = "gzip"
        return response


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, gzip.compress(body), _TYPES[path.suffix])
