"""Ports for child processes."""

import signal
import socket

import pytest

from streakline.processes import free_port, uninterrupted


def test_a_preferred_port_is_had_where_it_is_free() -> None:
    port = free_port()
    assert free_port(port) == port


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_port_that_somebody_has_on_any_address_is_not_free(address: str) -> None:
    is_6 = ":" in address
    family = socket.AF_INET6 if is_6 else socket.AF_INET
    with socket.create_server((address, 0), family=family, dualstack_ipv6=is_6) as server:
        port: int = server.getsockname()[1]
        assert free_port(port) not in {0, port}


@pytest.mark.parametrize("handler", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_waits_for_the_end_of_what_must_not_be_interrupted(handler: signal.Signals) -> None:
    before = signal.signal(handler, signal.default_int_handler)
    went_on: list[bool] = []

    @uninterrupted()
    def stretch() -> None:
        signal.raise_signal(handler)
        went_on.append(True)

    try:
        with pytest.raises(KeyboardInterrupt):
            stretch()
        assert went_on
        assert signal.getsignal(handler) is signal.default_int_handler
    finally:
        signal.signal(handler, before)
