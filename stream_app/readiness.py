"""Whether a worker does its work: what /readyz and `streakline_ready` say. Pure."""

from msgspec import Struct

from producers.status_server import Check

BROKER_SILENT_SECONDS = 15.0
STUCK_SECONDS = 30.0


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a worker at one moment."""

    broker_silent_seconds: float
    """since the broker last answered"""
    broker_error: str | None
    is_rebalancing: bool
    partitions: int
    """of the steps topic, assigned"""
    has_recovered: bool
    """the tables of the present assignment"""
    waiting_records: int
    waiting_seconds: float
    """how long the oldest of them has, at most"""
    idle_seconds: float
    """since the last batch was applied, or since the tables were recovered"""


def readiness(facts: Facts) -> list[Check]:
    """All pass: records that arrive are judged."""
    broker = facts.broker_silent_seconds <= BROKER_SILENT_SECONDS
    # After a quiet hour the first record finds a worker that has been idle for as long.
    stuck = facts.has_recovered and min(facts.waiting_seconds, facts.idle_seconds) > STUCK_SECONDS
    return [
        Check("broker", broker, "answers" if broker else f"does not answer: {facts.broker_error}"),
        Check(
            "partitions",
            not facts.is_rebalancing,
            "the group is being rebalanced" if facts.is_rebalancing else _partitions(facts.partitions),
        ),
        Check("tables", facts.has_recovered, "recovered" if facts.has_recovered else "being recovered"),
        Check(
            "batches",
            not stuck,
            f"{facts.waiting_records:,} records wait and none was judged for {facts.idle_seconds:.0f} s"
            if stuck
            else f"{facts.waiting_records:,} records wait",
        ),
    ]


def _partitions(count: int) -> str:
    return f"{count} assigned" if count else "none assigned: more workers than partitions, this one stands by"
