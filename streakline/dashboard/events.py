"""Server-sent events: their framing, and the connections over which they go."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from streakline.dashboard.bell import Bell

LIMIT = 256
"""connections at once"""
BEAT_SECONDS = 15.0
"""of silence, after which a page is told that all is well"""
WRITE_SECONDS = 10.0
"""after which whoever does not read is let go; a browser connects again, and goes on where it was"""
_PIECE_BYTES = 2**16
RETRY_MILLISECONDS = 1000

BEAT = b"event: beat\ndata: {}\n\n"
_LINE_END = re.compile(rb"\r\n|\r|\n")

News = Callable[[], Awaitable[bytes]]
"""the frames of what is new since it was last called; empty where nothing is"""


def frame(event: str, data: bytes, event_id: str | None = None) -> bytes:
    r"""One event. Names and ids are ours and of one line; `data` may have several.

    >>> frame("run", b"one\ntwo", "7-0")
    b'event: run\nid: 7-0\ndata: one\ndata: two\n\n'
    """
    lines = [b"event: " + event.encode()]
    if event_id is not None:
        lines.append(b"id: " + event_id.encode())
    lines += [b"data: " + line for line in _LINE_END.split(data)]
    return b"\n".join(lines) + b"\n\n"


def last_event_id(request: web.Request) -> str | None:
    """Where the reader stood; a page that connects anew by itself cannot set the header."""
    return request.headers.get("Last-Event-ID") or request.query.get("after")


class EventStreams:
    """All connections. Nothing is queued for any: what it missed while it was slow is looked up later."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._open: set[asyncio.Event] = set()
        self._is_closing = False

    def close(self) -> None:
        """End them all, and take no more."""
        self._is_closing = True
        for wake in self._open:
            wake.set()

    async def serve(self, request: web.Request, news: News, *bells: Bell) -> web.StreamResponse:
        """Send `news` whenever one of `bells` rings, until the reader goes.

        Raises HTTPServiceUnavailable at the limit.
        """
        if self._is_closing or len(self._open) >= self._limit:
            raise web.HTTPServiceUnavailable(text="too many pages are open here", headers={"Retry-After": "5"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        if request.method == "HEAD":
            return response
        wake = asyncio.Event()
        self._open.add(wake)
        try:
            with contextlib.ExitStack() as stack:
                for bell in bells:
                    stack.enter_context(bell.heard_by(wake))
                await response.prepare(request)
                await self._send(request, response, f"retry: {RETRY_MILLISECONDS}\n\n".encode())
                await self._tell(request, response, news, wake)
        except ConnectionError:
            pass
        finally:
            self._open.discard(wake)
        return response

    async def _tell(self, request: web.Request, response: web.StreamResponse, news: News, wake: asyncio.Event) -> None:
        while not self._is_closing:
            wake.clear()
            if frames := await news():
                await self._send(request, response, frames)
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await wake.wait()
            except TimeoutError:
                await self._send(request, response, BEAT)

    @staticmethod
    async def _send(request: web.Request, response: web.StreamResponse, frames: bytes) -> None:
        try:
            for start in range(0, len(frames), _PIECE_BYTES):
                async with asyncio.timeout(WRITE_SECONDS):
                    await response.write(frames[start : start + _PIECE_BYTES])
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the reader does not read") from None
