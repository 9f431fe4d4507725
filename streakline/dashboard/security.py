"""What stands between the network and the pages: the Host header, the token, and headers on every answer."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from streakline.dashboard.access import COOKIE, Access, is_own_host

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Server": "streakline",
}
LOGIN: Final = "/login"
_FOR_EVERYONE: Final = (LOGIN, "/healthz", "/static/")
"""they say nothing of any run"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """On every answer, whatever it is; one that has a header of that name keeps its own."""
    for name, value in HEADERS.items():
        if name == "Server":
            response.headers[name] = value
        else:
            response.headers.setdefault(name, value)


class Guard:
    """Lets through who may look."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Raises what is to be answered instead."""
        if self._access.is_open and not is_own_host(request.host):
            # A page elsewhere, whose name was made to lead here; or a proxy, which lets in whoever reaches it.
            raise web.HTTPForbidden(
                text="This dashboard answers to 127.0.0.1 and localhost only; with a STREAKLINE_DASHBOARD_TOKEN it "
                "answers to any name."
            )
        if not self._may_pass(request):
            if "text/html" in request.headers.get("Accept", "") and request.method in {"GET", "HEAD"}:
                raise web.HTTPSeeOther(request.url.with_path(LOGIN).with_query(next=request.path_qs).relative())
            raise web.HTTPUnauthorized(
                text="Send the token as `Authorization: Bearer …`.", headers={"WWW-Authenticate": "Bearer"}
            )
        return await handler(request)

    def _may_pass(self, request: web.Request) -> bool:
        if request.path.startswith(_FOR_EVERYONE):
            return True
        return self._access.allows(
            authorization=request.headers.get("Authorization"), cookie=request.cookies.get(COOKIE), now=time.time()
        )
