"""`python -m tests.dashboard_shots FOLDER LAKE RUN…`: each page of the dashboard as a picture, of runs in a lake."""

import sys
from pathlib import Path

from streakline.redis_server import running_redis
from tests.browser import running_browser, watched
from tests.dashboard import running_dashboard
from tests.report_shots import VIEWPORT


def shoot(folder: Path, lake: Path, pages: dict[str, str]) -> None:
    """`pages` is name → path."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        running_redis() as redis_url,
        running_dashboard(redis_url, lake, "streakline.") as dashboard,
        running_browser() as browser,
    ):
        for scheme in ("light", "dark"):
            for name, path in pages.items():
                with watched(browser, dark=scheme == "dark", viewport=VIEWPORT) as it:
                    it.page.goto(f"{dashboard.url}{path}")
                    it.page.wait_for_timeout(2000)
                    it.page.screenshot(path=folder / f"dashboard-{name}-{scheme}.png")


if __name__ == "__main__":
    run_id, project = sys.argv[3:5]
    shoot(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        {"runs": "/", "run": f"/runs/{run_id}", "report": f"/runs/{run_id}/report", "project": f"/projects/{project}"},
    )
