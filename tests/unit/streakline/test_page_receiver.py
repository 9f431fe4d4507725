"""The webhooks' receiver, over real sockets: what it takes, what it refuses, and that it never hangs or complains."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import msgspec
import pytest

from streakline import page_receiver
from streakline.page_receiver import MAX_BODY_BYTES, MAX_WAITING, PageReceiver
from tests.notifications import alert, message
from tests.worker import wait_until

MESSAGE = msgspec.json.encode(message(alert()))
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def receiver() -> Iterator[PageReceiver]:
    with contextlib.closing(PageReceiver()) as opened:
        yield opened


def answer(
    receiver: PageReceiver,
    path: str = "/pager",
    body: bytes = MESSAGE,
    *,
    method: str = "POST",
    headers: dict[str, str] = JSON,
) -> tuple[int, str]:
    with contextlib.closing(HTTPConnection("127.0.0.1", receiver.port, timeout=10)) as connection:
        connection.request(method, path, body, headers)
        response: HTTPResponse = connection.getresponse()
        return response.status, response.read().decode()


def raw_answer(receiver: PageReceiver, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(4096), b""))


@pytest.mark.parametrize("name", ["pager", "warnings", "digest"])
def test_a_message_is_taken_once(name: str, receiver: PageReceiver) -> None:
    assert answer(receiver, f"/{name}") == (200, "taken\n")
    (notification,) = receiver.take()
    assert notification.receiver == name
    assert [page.run_id for page in notification.pages] == ["sft-7"]
    assert receiver.take() == []


def test_a_heartbeat_is_counted_and_not_kept(receiver: PageReceiver) -> None:
    assert answer(receiver, "/heartbeat") == (200, "taken\n")
    assert (receiver.heartbeats, receiver.take()) == (1, [])


def test_what_nobody_takes_is_bounded_and_the_newest_stay(receiver: PageReceiver) -> None:
    for number in range(MAX_WAITING + 3):
        body = msgspec.json.encode(message(alert(), groupKey=str(number)))
        assert answer(receiver, body=body)[0] == 200
    keys = [int(notification.group_key) for notification in receiver.take()]
    assert keys == list(range(3, MAX_WAITING + 3))


@pytest.mark.parametrize("path", ["/", "/pagers", "/pager/", "/pager?x=1", "/../pager"])
def test_another_path_is_not_found(path: str, receiver: PageReceiver) -> None:
    assert answer(receiver, path) == (404, "there are /pager, /warnings, /digest, /heartbeat\n")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_another_method_is_not_allowed(method: str, receiver: PageReceiver) -> None:
    assert answer(receiver, method=method, body=b"") == (
        405,
        "" if method == "HEAD" else "messages are sent with POST\n",
    )


def test_a_bad_message_is_refused_with_a_sentence(receiver: PageReceiver) -> None:
    code, sentence = answer(receiver, body=b'{"version":"4"}')
    assert code == 400
    assert sentence.startswith("not a webhook message of Alertmanager's (version 4): ")
    assert receiver.take() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_what_a_web_site_may_send_unasked_is_refused(kind: str, receiver: PageReceiver) -> None:
    assert answer(receiver, headers={"Content-Type": kind})[0] == 415


@pytest.mark.parametrize(
    ("length", "code"),
    [
        (None, 411),
        ("-1", 411),
        ("+5", 411),
        ("1_000", 411),
        ("٣", 411),
        ("0", 400),
        (str(MAX_BODY_BYTES + 1), 413),
        ("9" * 10_000, 413),
    ],
)
def test_a_length_that_cannot_be_is_refused(length: str | None, code: int, receiver: PageReceiver) -> None:
    header = b"" if length is None else f"Content-Length: {length}\r\n".encode()
    request = b"POST /pager HTTP/1.1\r\nContent-Type: application/json\r\n" + header + b"\r\n"
    assert raw_answer(receiver, request).startswith(f"HTTP/1.0 {code} ".encode())


@pytest.mark.parametrize(
    "request_line", [b"\x1b[2J\r\n\r\n", b"\x00\xff\r\n\r\n", b"POST\r\n\r\n", b"A" * 70_000 + b"\r\n\r\n"]
)
def test_what_is_not_http_is_refused(request_line: bytes, receiver: PageReceiver) -> None:
    assert b"taken" not in raw_answer(receiver, request_line)
    assert answer(receiver)[0] == 200


def test_a_client_that_falls_silent_is_dropped(receiver: PageReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_receiver._Handler, "timeout", 0.2)
    request = b"POST /pager HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    assert raw_answer(receiver, request) == b""


def test_a_client_that_goes_away_is_not_worth_a_word(receiver: PageReceiver, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port)) as client:
        client.sendall(b"POST /pager HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        # Closed with a reset.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    answer(receiver)
    wait_until(lambda: len(receiver.take()) == 1)
    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_an_error(receiver: PageReceiver) -> None:
    with pytest.raises(OSError, match="in use"):
        PageReceiver(receiver.port)


def test_a_closed_receiver_is_gone() -> None:
    receiver = PageReceiver()
    receiver.close()
    with pytest.raises(ConnectionRefusedError):
        answer(receiver)
