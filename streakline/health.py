"""Whether a program is well: its /healthz, asked every few seconds, or once by ``python -m streakline.health [URL]``.

The latter is what a container's health check runs; it ends with 1 where it is not. By default it asks the worker
beside it, where STREAKLINE_METRICS_PORT says.
"""

import http.client
import os
import ssl
import sys
import threading
import time
from contextlib import closing, suppress
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

LOOK_SECONDS = 5.0
ANSWERS_WITHIN_SECONDS = 5.0
FAILURES = 3
"""in a row, before it is taken for ill"""
START_SECONDS = 180.0
"""for a program to answer well for the first time: on a busy machine PyTorch alone takes a while to be imported"""


class _Check(Struct):
    name: str
    passes: bool
    detail: str


class _Report(Struct):
    checks: list[_Check] = []


class HealthWatch:
    """Asks `url` from a thread of its own until it is closed; nobody waits for it."""

    def __init__(self, url: str) -> None:
        self.failure: str | None = None
        """why it is taken for ill; None while it is well, or may be yet"""
        self.was_well = False
        """at any time"""
        self._url = url
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="health", daemon=True).start()

    def close(self) -> None:
        """Ask no more."""
        self._closed.set()

    def _run(self) -> None:
        failures, began = 0, time.monotonic()
        while not self._closed.wait(LOOK_SECONDS):
            failure = trouble_at(self._url)
            self.was_well = self.was_well or failure is None
            failures = 0 if failure is None else failures + 1
            may_be_starting = not self.was_well and time.monotonic() - began < START_SECONDS
            self.failure = failure if failures >= FAILURES and not may_be_starting else None


def trouble_at(url: str) -> str | None:
    """What is wrong with the program whose health `url` tells; None where it says that it is well."""
    path = urlsplit(url).path
    try:
        with closing(_connection(url)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
    except TimeoutError:
        return f"{path} gives no answer in {ANSWERS_WITHIN_SECONDS:g} s"
    except (OSError, http.client.HTTPException) as error:
        return f"{path} cannot be asked: {error}"
    if answer.status == http.client.OK:
        return None
    with suppress(msgspec.DecodeError):
        failing = [each for each in msgspec.json.decode(body, type=_Report).checks if not each.passes]
        if failing:
            return ", ".join(f"{each.name} {each.detail}" for each in failing)
    return f"{path} answers {answer.status}"


def _connection(url: str) -> http.client.HTTPConnection:
    place = urlsplit(url)
    host = place.hostname or ""
    if place.scheme == "http":
        return http.client.HTTPConnection(host, place.port, timeout=ANSWERS_WITHIN_SECONDS)
    # It is ours, and asked for its health only; its certificate need not name this address.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, place.port, timeout=ANSWERS_WITHIN_SECONDS, context=context)


if __name__ == "__main__":
    beside = f"http://127.0.0.1:{os.environ.get('STREAKLINE_METRICS_PORT')}/healthz"
    sys.exit(trouble_at(sys.argv[1] if len(sys.argv) > 1 else beside))
