"""A broker that demands to know who is there: TLS and SASL in front of a real one that has neither (Tansu).

What it does is what Apache Kafka does: it ends TLS with its own certificate, asks for the client's where it is told to,
answers SaslHandshake and SaslAuthenticate itself, and lets nothing but ApiVersions through before. From then on bytes
are passed on as they come.
"""

import asyncio
import contextlib
import ssl
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

from msgspec import Struct

from producers.kafka import SaslMechanism
from streakline.broker import start_broker
from streakline.processes import free_port, stop
from tests.kafka_frames import API_VERSIONS, BadFrame, framed, parsed, read_frame
from tests.sasl import Accounts, Login

_PIECE_BYTES = 65_536

_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Guard(Struct, frozen=True, kw_only=True):
    """What a client has to show before it is let in."""

    tls: ssl.SSLContext | None = None
    """None: the connection is in the clear"""
    passwords: Mapping[str, str] | None = None
    """by user; None: nobody is asked for a name"""
    mechanisms: tuple[SaslMechanism, ...] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class GuardedBroker:
    """Listens on the loopback `port` for as long as the block runs, and passes on to the loopback port `behind`.

    A broker behind it has to advertise `port`, or clients go around it.
    """

    def __init__(self, port: int, behind: int, guard: Guard) -> None:
        self.bootstrap = f"127.0.0.1:{port}"
        self.let_in: Counter[str] = Counter()
        """connections by user; of whom no name was asked they are counted under none"""
        self._port = port
        self._behind = behind
        self._tls = guard.tls
        self._accounts = None if guard.passwords is None else Accounts(guard.passwords, guard.mechanisms)
        self._listener: asyncio.Server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="guard", daemon=True)

    def __enter__(self) -> "GuardedBroker":
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)

    async def _close(self) -> None:
        """Take nobody any more, and drop everybody."""
        self._listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = reader, writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, BadFrame, asyncio.CancelledError):
            broker = await asyncio.open_connection("127.0.0.1", self._behind)
            try:
                user = "" if self._accounts is None else await _known(Login(self._accounts), client, broker)
                if user is not None:
                    self.let_in[user] += 1
                    await _pass_on(client, broker)
            finally:
                broker[1].close()
        writer.close()


async def _known(login: Login, client: _Ends, broker: _Ends) -> str | None:
    """Who the client has proven to be, or None; before that it may ask what is spoken here, and no more."""
    while not login.is_over:
        request = parsed(await read_frame(client[0]))
        if request.api == API_VERSIONS:
            broker[1].write(framed(request.frame))
            client[1].write(framed(await read_frame(broker[0])))
        else:
            client[1].write(login.answer(request))
            await client[1].drain()
    return login.user


async def _pass_on(client: _Ends, broker: _Ends) -> None:
    """Both ways, until one side ends."""
    ways = [asyncio.create_task(_pump(client[0], broker[1])), asyncio.create_task(_pump(broker[0], client[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(_PIECE_BYTES):
            sink.write(piece)
            await sink.drain()


@contextlib.contextmanager
def guarded_broker(guard: Guard) -> Iterator[GuardedBroker]:
    """A real broker behind a `GuardedBroker` that all its clients go through, for as long as the block runs."""
    behind, port = free_port(), free_port()
    process = start_broker(behind, advertised_port=port)
    try:
        with GuardedBroker(port, behind, guard) as front:
            yield front
    finally:
        stop(process)
