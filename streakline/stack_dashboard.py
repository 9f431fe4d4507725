"""The dashboard of a local stack."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from producers.settings import load_settings
from streakline.dashboard.settings import DashboardSettings, place_of
from streakline.diffing import Port
from streakline.extras import missing_for_dashboard
from streakline.processes import free_port
from streakline.services import Program

DASHBOARD_URL = place_of(DashboardSettings()).url(DashboardSettings().dashboard_port)
"""where one is that is started by hand"""


class StackDashboardSettings(Struct, frozen=True, kw_only=True):
    """How it is started; what the environment says of hosts, tokens and TLS stands."""

    port: Port | None = None
    """where it is taken, or 0, any free one; None: the one that the environment says, by default 8800"""


class StackDashboard(NamedTuple):
    """The dashboard to be started."""

    url: str
    program: Program


def stack_dashboard(
    settings: StackDashboardSettings, environ: Mapping[str, str], *, say: Callable[[str], None]
) -> StackDashboard | None:
    """What to run, where `environ` names Redis, the lake and the topics; None where it is not installed, which is said.

    Raises `SettingsError` where the environment asks for what must not be served.
    """
    if (missing := missing_for_dashboard()) is not None:
        say(f"no dashboard: {missing} is not installed: pip install 'streakline[dashboard]'")
        return None
    own = load_settings(DashboardSettings, environ={**os.environ, **environ})
    preferred = own.dashboard_port if settings.port is None else settings.port
    port = free_port(preferred)
    if preferred and port != preferred:
        say(f"port {preferred} is taken: the dashboard listens on {port}")
    place = place_of(replace(own, dashboard_port=port))
    command = [sys.executable, "-m", "streakline", "dashboard", "--port", str(port)]
    url = place.url(port)
    return StackDashboard(url, Program("dashboard", command, environ, f"{url}healthz"))
