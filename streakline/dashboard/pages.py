"""The pages for people; what changes on them comes by the event streams."""

import difflib
import logging
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment
from msgspec import Struct

from streakline.dashboard.addresses import name_in, project_path, run_path
from streakline.dashboard.assets import ICON, Assets
from streakline.dashboard.overview import Overview
from streakline.dashboard.projects import Projects
from streakline.dashboard.reports import Reports
from streakline.dashboard.security import Handler
from streakline.report.content import Report
from streakline.report.page import policy
from streakline.web.assets import SCRIPTS
from workers.lake.statements import QueryError

NEAR = 5
_AMONG = 5000
"""names that are compared; more would take too long"""
_DEFECT = "The dashboard has a defect, which its log tells of. The rest of it goes on."
_log = logging.getLogger(__name__)


def add_to(templates: Environment, assets: Assets) -> None:
    """What every template knows."""
    templates.globals.update(
        asset=assets.path, icon=ICON, shared_scripts=SCRIPTS, run_path=run_path, project_path=project_path
    )


class Counts(Struct, frozen=True, kw_only=True):
    """Of a project."""

    runs: int
    running: int
    diffs: int


class Pages:
    """Rendered by Jinja, which escapes every value."""

    def __init__(self, templates: Environment, overview: Overview, reports: Reports, projects: Projects) -> None:
        self._templates = templates
        self._overview = overview
        self._reports = reports
        self._projects = projects

    async def runs(self, _: web.Request) -> web.Response:
        """All runs."""
        return self._html("runs.html")

    async def run(self, request: web.Request) -> web.Response:
        """One run. Raises HTTPNotFound."""
        run_id = name_in(request.match_info["run_id"])
        await self._overview.begun()
        row = None if run_id is None else self._overview.runs.get(run_id)
        report, trouble = await self._report(run_id) if run_id is not None else (None, "")
        if run_id is None or (row is None and report is None):
            return self._missing(request.match_info["run_id"], "run", trouble)
        return self._html("run.html", run_id=run_id, row=row, report=report, trouble=trouble)

    async def report(self, request: web.Request) -> web.Response:
        """The report of one run: a document of its own, with a policy of its own. Raises HTTPNotFound."""
        run_id = name_in(request.match_info["run_id"])
        try:
            document = None if run_id is None else await self._reports.page(run_id)
        except QueryError as error:
            return self._html("error.html", 503, title="No report now", text=f"{error}.")
        if document is None:
            return self._missing(request.match_info["run_id"], "run")
        response = web.Response(text=document, content_type="text/html")
        response.headers["Content-Security-Policy"] = f"{policy()}; frame-ancestors 'none'"
        response.enable_compression()
        return response

    async def project(self, request: web.Request) -> web.Response:
        """A project's history of scores. Raises HTTPNotFound."""
        project = name_in(request.match_info["project"])
        await self._overview.begun()
        rows = [row for row in self._overview.runs if row.project == project]
        trouble = ""
        history = None
        if project is not None:
            try:
                history = await self._projects.get(project)
            except QueryError as error:
                trouble = f"{error}."
        if project is None or not (rows or history):
            return self._missing(request.match_info["project"], "project", trouble)
        counts = Counts(
            runs=len(rows),
            running=sum(row.state == "running" for row in rows),
            diffs=sum(row.diff_id is not None for row in rows),
        )
        return self._html(
            "project.html",
            project=project,
            counts=counts,
            list_path=f"/?{urlencode({'project': project})}",
            history=history,
            trouble=trouble,
        )

    @web.middleware
    async def errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What goes wrong as a page, for whoever reads pages."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400 or "text/html" not in request.headers.get("Accept", ""):
                raise
            text = error.text if error.text and not error.empty_body else ""
            made = self._html("error.html", error.status, title=error.reason, text=text.partition(": ")[2] or text)
            made.headers.update(
                {name: error.headers[name] for name in ("Retry-After", "Allow") if name in error.headers}
            )
            return made
        except Exception:
            _log.exception("%s could not be answered", request.path)
            return self._html("error.html", 500, title="Something is wrong here", text=_DEFECT)

    async def _report(self, run_id: str) -> tuple[Report | None, str]:
        try:
            return await self._reports.get(run_id), ""
        except QueryError as error:
            return None, f"{error}."

    def _missing(self, wanted: str, kind: str, trouble: str = "") -> web.Response:
        overview = self._overview
        names = [row.run_id for row in overview.runs] if kind == "run" else overview.projects()
        near = [(name, run_path(name) if kind == "run" else project_path(name)) for name in near_matches(wanted, names)]
        return self._html("missing.html", 404, wanted=wanted, kind=kind, near=near, trouble=trouble)

    def _html(self, template: str, status: int = 200, **values: Any) -> web.Response:
        text = self._templates.get_template(template).render(**values)
        response = web.Response(text=text, content_type="text/html", status=status)
        response.enable_compression()
        return response


def near_matches(wanted: str, names: list[str]) -> list[str]:
    """Of `names`, a few that someone may have meant.

    >>> near_matches("sft7", ["sft-7", "sft-8", "other"])
    ['sft-7', 'sft-8']
    """
    holding = [name for name in names if wanted.lower() in name.lower()][:NEAR]
    alike = difflib.get_close_matches(wanted[:128], names[:_AMONG], n=NEAR, cutoff=0.6)
    return list(dict.fromkeys([*holding, *alike]))[:NEAR]
