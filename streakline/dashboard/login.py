"""The form that asks for the token, where there is one."""

import asyncio
import time

from aiohttp import web
from jinja2 import Environment

from streakline.dashboard.access import COOKIE, COOKIE_SECONDS, Access, is_same_origin, local_path

FAILED_SECONDS = 1.0
"""that a wrong token takes"""
_AT_ONCE = 16
"""wrong ones that wait; more are not looked at"""


class Login:
    """GET shows the form, POST takes it: the one thing that the dashboard does not only read."""

    def __init__(self, access: Access, templates: Environment) -> None:
        self._access = access
        self._templates = templates
        self._failing = 0

    async def show(self, request: web.Request) -> web.Response:
        """The form."""
        return self._page(request.query.get("next", "/"))

    async def take(self, request: web.Request) -> web.Response:
        """Check what was sent. Raises what is answered instead."""
        origin = request.headers.get("Origin")
        if not is_same_origin(origin, request.host):
            raise web.HTTPForbidden(text="The form was not sent from this dashboard.")
        try:
            form = await request.post()
        except (LookupError, ValueError):
            # A charset that there is not, or bytes that are not of it.
            raise web.HTTPBadRequest(text="The form cannot be read.") from None
        wanted = local_path(str(form.get("next", "/")))
        if self._access.is_open:
            raise web.HTTPSeeOther(wanted)
        if self._failing >= _AT_ONCE:
            raise web.HTTPTooManyRequests(text="Too many wrong tokens at once: try again in a second.")
        if not self._access.is_token(str(form.get("token", "")).strip()):
            self._failing += 1
            try:
                await asyncio.sleep(FAILED_SECONDS)
            finally:
                self._failing -= 1
            return self._page(wanted, status=401, is_wrong=True)
        answer = web.HTTPSeeOther(wanted)
        answer.set_cookie(
            COOKIE,
            self._access.cookie(time.time()),
            max_age=COOKIE_SECONDS,
            path="/",
            httponly=True,
            samesite="Strict",
            # What the browser says of its own connection, so that it holds behind a proxy as well.
            secure=(origin or "").startswith("https://"),
        )
        raise answer

    def _page(self, wanted: str, *, status: int = 200, is_wrong: bool = False) -> web.Response:
        html = self._templates.get_template("login.html").render(next=local_path(wanted), is_wrong=is_wrong)
        # With `no-referrer` a browser does not say either which page a form is from.
        headers = {"Referrer-Policy": "same-origin"}
        return web.Response(text=html, content_type="text/html", status=status, headers=headers)
