"""The token, and the cookie that stands for it."""

import pytest

from streakline.dashboard.access import COOKIE_SECONDS, Access, is_own_host, is_same_origin, local_path

TOKEN = "correct horse battery staple"
NOW = 1_700_000_000.0


def test_without_a_token_anyone_may_look() -> None:
    access = Access(None)
    assert access.is_open
    assert access.allows(authorization=None, cookie=None, now=NOW)


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer   {TOKEN} "])
def test_the_token_opens(header: str) -> None:
    assert Access(TOKEN).allows(authorization=header, cookie=None, now=NOW)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \ud800"]
)
def test_nothing_else_does(header: str | None) -> None:
    assert not Access(TOKEN).allows(authorization=header, cookie=None, now=NOW)


def test_a_cookie_opens_until_it_is_old() -> None:
    access = Access(TOKEN)
    cookie = access.cookie(NOW)
    assert TOKEN not in cookie
    assert access.allows(authorization=None, cookie=cookie, now=NOW + COOKIE_SECONDS - 1)
    assert not access.allows(authorization=None, cookie=cookie, now=NOW + COOKIE_SECONDS)


@pytest.mark.parametrize("cookie", ["", ".", "9999999999.", "9999999999.00", "x.y", "\ud800.\ud800"])
def test_a_cookie_that_was_made_up_does_not(cookie: str) -> None:
    assert not Access(TOKEN).allows(authorization=None, cookie=cookie, now=NOW)


def test_a_cookie_ends_with_its_token_and_cannot_be_prolonged() -> None:
    cookie = Access(TOKEN).cookie(NOW)
    assert not Access("another token of that length").allows(authorization=None, cookie=cookie, now=NOW)
    expires, _, seal = cookie.partition(".")
    assert not Access(TOKEN).allows(authorization=None, cookie=f"{int(expires) + 1}.{seal}", now=NOW)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8800", "127.0.0.1.evil.example", "", None, "[::", "10.0.0.1"]
)
def test_only_names_of_this_machine_are_its_own(host: str | None) -> None:
    assert not is_own_host(host)


def test_a_form_comes_from_the_page_that_it_is_sent_to() -> None:
    assert is_same_origin("http://127.0.0.1:8800", "127.0.0.1:8800")
    assert not is_same_origin("http://127.0.0.1:8801", "127.0.0.1:8800")
    assert not is_same_origin(None, None)


@pytest.mark.parametrize("wanted", ["", "runs", "/\\evil", "//evil", "/a\r\nb", "/ü", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere(wanted: str) -> None:
    assert local_path(wanted) == "/"
