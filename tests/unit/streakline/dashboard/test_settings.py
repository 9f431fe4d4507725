"""Where the dashboard may be served, and to whom."""

from pathlib import Path

import pytest

from producers.settings import SettingsError, load_settings
from streakline.dashboard.settings import DashboardSettings, place_of

TOKEN = "0123456789abcdef"


def test_by_default_it_is_for_this_machine_alone() -> None:
    place = place_of(load_settings(DashboardSettings, {}))
    assert (place.host, place.port, place.token, place.is_loopback, place.warning) == (
        "127.0.0.1", 8800, None, True, None,
    )  # fmt: skip
    assert place.url(8800) == "http://127.0.0.1:8800/"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.7", "host.example"])
def test_others_are_not_let_in_without_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="only with a token"):
        place_of(DashboardSettings(dashboard_host=host))


@pytest.mark.parametrize("token", ["", "short", "with a line\nend in it", "ünïcode-token-of-some-length"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match="16 printable"):
        place_of(DashboardSettings(dashboard_token=token))


def test_with_a_token_anyone_may_connect_and_is_told_of_tls() -> None:
    open_place = place_of(DashboardSettings(dashboard_host="0.0.0.0", dashboard_token=TOKEN))
    assert open_place.warning is not None
    assert "TLS" in open_place.warning
    assert open_place.url(1) == "http://127.0.0.1:1/"
    safe = place_of(
        DashboardSettings(
            dashboard_host="::", dashboard_token=TOKEN, dashboard_tls_cert="c.pem", dashboard_tls_key="k.pem"
        )
    )
    assert safe.warning is None
    assert safe.url(1) == "https://127.0.0.1:1/"
    assert place_of(DashboardSettings(dashboard_host="::1")).url(1) == "http://[::1]:1/"


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(SettingsError, match="both --tls-cert and --tls-key"):
        place_of(DashboardSettings(dashboard_tls_cert="c.pem"))


def test_the_token_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    environ = {"STREAKLINE_DASHBOARD_TOKEN_FILE": str(tmp_path / "token")}
    assert place_of(load_settings(DashboardSettings, environ)).token == TOKEN
