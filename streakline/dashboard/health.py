"""/healthz: for whoever supervises the dashboard."""

import msgspec
from aiohttp import web
from msgspec import Struct

from streakline.dashboard.overview import Overview


class Healthz(Struct, frozen=True):
    """The body: it answers; whether what it reads is there."""

    status: str
    redis: str
    lake: str


class Health:
    """Always 200 while it answers: a Redis that is away does not come back by starting the dashboard anew."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    async def handle(self, _: web.Request) -> web.Response:
        """Answer; it says nothing of any run, and is for everyone."""
        body = Healthz("ok", self._overview.redis.state, self._overview.lake.state)
        return web.Response(body=msgspec.json.encode(body) + b"\n", content_type="application/json")
