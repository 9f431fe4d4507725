"""How live runs get into Redis: the only place of the stream app that speaks to it."""

from collections.abc import Sequence

import msgspec
import redis
from msgspec import Struct

from producers.codec import encode
from producers.redis.client import away
from stream_app.live import KEPT_SECONDS, batches_key, index_key, run_key
from stream_app.run_news import RunNews, kept_batches, live_batch

# One call for many runs, and not four commands a run: that takes a fifth of the interpreter's time, which is the event
# loop's as well. What Redis refuses of one run keeps none of the others from being shown.
_SHOW = """
local refused = 0
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then refused = refused + 1 end
end
try('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
for first = 2, #ARGV, 6 do
  local run_id, run, seen_at, seconds, batch, kept = unpack(ARGV, first, first + 5)
  try('SET', KEYS[2] .. run_id, run, 'EX', seconds)
  try('ZADD', KEYS[1], seen_at, run_id)
  if batch ~= '' then
    try('XADD', KEYS[3] .. run_id, 'MAXLEN', '~', kept, '*', 'batch', batch)
    try('EXPIRE', KEYS[3] .. run_id, seconds)
  end
end
return refused
"""


class Shown(Struct, frozen=True):
    """One run to be shown: with a batch where something happened, without one where it is only said again."""

    news: RunNews
    with_batch: bool = True


class LiveWriter:
    """Writes what `stream_app.live` describes."""

    def __init__(self, client: "redis.Redis", prefix: str) -> None:
        self._show = client.register_script(_SHOW)
        # A run's keys are these and its id: one Redis, as everywhere here, and no cluster of them.
        self._keys = [index_key(prefix), run_key(prefix, ""), batches_key(prefix, "")]

    def write(self, shown: Sequence[Shown], now: float) -> int:
        """Write them at `now` (Unix seconds), and drop from the index what is gone; how many commands were refused.

        Raises `RedisAway`; some of the runs may be written then.
        """
        arguments: list[bytes | str | float] = [now - KEPT_SECONDS]
        for each in shown:
            arguments += _arguments(each, now)
        try:
            return int(self._show(self._keys, arguments))
        except redis.RedisError as error:
            raise away(error) from None


def _arguments(shown: Shown, now: float) -> Sequence[bytes | str | float]:
    news = shown.news
    seconds = max(1, round(KEPT_SECONDS - (now - news.seen_at)))
    about_it = news.run.run_id, msgspec.json.encode(news.run), news.seen_at, seconds
    if not shown.with_batch:
        return *about_it, "", 0
    batch = live_batch(news)
    return *about_it, encode(batch), kept_batches(batch)
