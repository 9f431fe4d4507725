"""A broker that misbehaves when it is told to: a TCP proxy in front of a real one, which stays well meanwhile."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from streakline.broker import start_broker
from streakline.processes import free_port, stop

_PIECE_BYTES = 16_384
_DELAYED_PIECE_BYTES = 1 << 20
_ACCEPTING_SECONDS = 0.1
# Close without a FIN: the other side gets a reset, and what was in the buffers is lost.
_NO_LINGER = struct.pack("ii", 1, 0)


class FaultyBroker:
    """Listens on the loopback `port`, and passes on to the broker on the loopback port `behind`.

    It forwards from the start; `refuse`, `pause`, `hold_answers` and `swallow` change what it does until `forward` is
    called, `cut` and `reset` end the connections there are. A broker behind it has to advertise `port`, or clients go
    around it.
    """

    def __init__(self, port: int, behind: int) -> None:
        self.port = port
        self.bytes_per_second: float | None = None
        """each way of each connection; None: as fast as it goes"""
        self.delay_seconds = 0.0
        """by which each piece is passed on later, both ways; what comes meanwhile is one piece with the next"""
        self._behind = behind
        self._takes = threading.Event()
        self._answers = threading.Event()
        self._swallows = False
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._sockets: set[socket.socket] = set()
        self.forward()

    @property
    def bootstrap(self) -> str:
        """Where clients find it."""
        return f"127.0.0.1:{self.port}"

    def forward(self) -> None:
        """Do what a proxy does; connections that were paused go on where they were, swallowed ones stay mute."""
        self.bytes_per_second = None
        self.delay_seconds = 0.0
        self._swallows = False
        self._takes.set()
        self._answers.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Nobody listens, and nobody is connected."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Waking the thread in accept() is what shutdown does and close does not.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def pause(self) -> None:
        """Keep and take connections, and let nothing through: half-open."""
        self._takes.clear()
        self._answers.clear()

    def hold_answers(self) -> None:
        """Let through what clients send, and hold the answers back: the broker has done what nobody knows of."""
        self._answers.clear()

    def swallow(self) -> None:
        """Take connections, read what comes, and never answer it, not even later."""
        self._swallows = True
        self.cut()

    def cut(self) -> None:
        """End every connection in good order (FIN)."""
        self._end(None)

    def reset(self) -> None:
        """End every connection without a word to it (RST)."""
        self._end(_NO_LINGER)

    def close(self) -> None:
        """Stop for good."""
        self._takes.set()
        self._answers.set()
        self.refuse()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self, linger: bytes | None) -> None:
        with self._lock:
            ended, self._sockets = self._sockets, set()
        for each in ended:
            with contextlib.suppress(OSError):
                if linger is not None:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                # A thread that reads from it would keep it open; ending the reading alone sends nothing.
                each.shutdown(socket.SHUT_RDWR if linger is None else socket.SHUT_RD)
            each.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        ends = [client]
        is_mute = self._swallows
        if not is_mute:
            try:
                ends.append(socket.create_connection(("127.0.0.1", self._behind), timeout=5))
            except OSError:
                client.close()
                return
            ends[1].settimeout(None)
        with self._lock:
            self._sockets.update(ends)
        self._start_pump(client, None if is_mute else ends[1], self._takes)
        if not is_mute:
            self._start_pump(ends[1], client, self._answers)

    def _start_pump(self, source: socket.socket, sink: socket.socket | None, may_flow: threading.Event) -> None:
        threading.Thread(target=self._pump, args=(source, sink, may_flow), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket | None, may_flow: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(self._piece_bytes):
                time.sleep(self.delay_seconds)
                may_flow.wait()
                if sink is not None:
                    sink.sendall(piece)
                if self.bytes_per_second is not None:
                    time.sleep(len(piece) / self.bytes_per_second)
        # Where one side ended, so does the other.
        with self._lock:
            ended = self._sockets & {source, sink}
            self._sockets -= ended
        for each in ended:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    @property
    def _piece_bytes(self) -> int:
        if self.delay_seconds:
            # A long way is not a narrow one.
            return _DELAYED_PIECE_BYTES
        speed = self.bytes_per_second
        return _PIECE_BYTES if speed is None else max(1, min(_PIECE_BYTES, int(speed / 20)))


@contextlib.contextmanager
def faulty_broker() -> Iterator[FaultyBroker]:
    """A real broker behind a `FaultyBroker` that all its clients go through, for as long as the block runs."""
    behind, port = free_port(), free_port()
    process = start_broker(behind, advertised_port=port)
    try:
        with FaultyBroker(port, behind) as front:
            yield front
    finally:
        stop(process)
