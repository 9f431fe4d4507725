"""Our programs with a fault at a chosen point, or with a guard taken out:
``python -m tests.faults.mutant NAME[,NAME…] ARGUMENTS``.

A stream worker with the arguments of `streakline`, or, where the first is ``trainer``, a trainer that is to be hurt.
"""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from tests.faults.placed import FAULTS


class Mutation(Struct, frozen=True):
    """A module of ours with some of its text replaced."""

    module: str
    texts: tuple[tuple[str, str], ...]
    """what is there once, and what is put in its place"""


_CHECK = """        if generation != self._app.consumer_generation_id:
            return
"""

MUTATIONS: Mapping[str, Mutation] = {
    "acknowledges-first": Mutation(
        "stream_app.batches",
        (
            (
                "        await self._publish(judged)\n",
                "        for event in events:\n            event.ack()\n        await self._publish(judged)\n",
            ),
        ),
    ),
    "writes-states-first": Mutation(
        "stream_app.batches",
        (
            (
                "        await self._publish(judged)\n",
                (
                    "        await self.write(dict(self.rows_of(judged)), generation)\n"
                    "        await self._publish(judged)\n"
                ),
            ),
        ),
    ),
    "does-not-wait-for-signals": Mutation(
        "stream_app.batches", (("        await asyncio.gather(*acknowledgements)\n", ""),)
    ),
    "does-not-check-the-generation": Mutation(
        "stream_app.batches",
        (
            (" if event.message.generation_id == generation]", "]"),
            (_CHECK, ""),
            ("        if generation != self._app.consumer_generation_id:\n            return False\n", ""),
        ),
    ),
    "acknowledges-its-queue-in-the-end": Mutation(
        "stream_app.batches", (("        events.enable_acks = False\n", ""),)
    ),
    "does-not-hold-the-flow": Mutation("stream_app.steps", (("        self._app.consumer.stop_flow()\n", ""),)),
    "writes-states-to-rocksdb-first": Mutation(
        "stream_app.batches",
        (
            (
                "        offsets = await self._table.replicate(values)\n",
                (
                    "        self._table.store(values, {key.partition: range(1) for key in values})\n"
                    "        offsets = await self._table.replicate(values)\n"
                ),
            ),
        ),
    ),
    "keeps-in-memory-alone": Mutation(
        "producers.spool.spool", (('        self._write(b"".join(packed), number, offset)\n', ""),)
    ),
}


def mutate(mutation: Mutation) -> None:
    """Put the mutated module in the place of the right one. Fails where a text is not there exactly once."""
    spec = importlib.util.find_spec(mutation.module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    for right, wrong in mutation.texts:
        assert source.count(right) == 1, (
            f"{mutation.module} has changed: {right!r} is there {source.count(right)} times"
        )
        source = source.replace(right, wrong)
    module = importlib.util.module_from_spec(spec)
    sys.modules[mutation.module] = module
    exec(compile(source, spec.origin, "exec"), module.__dict__)


def main() -> None:
    names, arguments = sys.argv[1].split(","), sys.argv[2:]
    for name in names:
        if name in MUTATIONS:
            mutate(MUTATIONS[name])
    for name in names:
        if name in FAULTS:
            FAULTS[name]()
    assert set(names) <= MUTATIONS.keys() | FAULTS.keys() | {"none"}
    if arguments[0] == "trainer":
        sys.argv = arguments
        importlib.import_module("tests.faults.hurt_trainer").main()
    else:
        sys.argv = ["streakline", *arguments]
        importlib.import_module("streakline.cli.main").main()


if __name__ == "__main__":
    main()
