"""Who plays in the demo: trainers that really train, and recordings of real fine-tunes."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from producers.events import SIGNAL_TYPES, Signal, SignalType
from producers.kafka import KafkaSettings
from producers.settings import to_environ
from producers.topics import TopicSettings
from streakline.demo.fine_tunes import FineTune
from streakline.demo.recordings import FOLDER
from streakline.demo.scenarios import Scenario
from streakline.processes import spawn

REPLAY_SPEED = 5.0


class Part(Struct, frozen=True, kw_only=True):
    """One run of the demo and what has to come of it."""

    run_id: str
    story: str
    steps: int
    expected: frozenset[SignalType]
    """each of them has to fire at least once"""
    forbidden: frozenset[SignalType]
    """none of them may"""
    is_replay: bool = False
    """its steps are old, and nobody is to be paged for them"""

    def missing(self, signals: list[Signal]) -> set[SignalType]:
        """What was expected and did not fire."""
        return {*self.expected} - {signal.type for signal in signals}

    def unwanted(self, signals: list[Signal]) -> set[SignalType]:
        """What fired and must not have."""
        return {*self.forbidden} & {signal.type for signal in signals}


def parts(scenarios: Iterable[Scenario], fine_tunes: Iterable[FineTune]) -> list[Part]:
    """Every run of the demo: the trainers', the fine-tunes of one base, then the recordings'."""
    trained = [
        Part(
            run_id=scenario.run_id,
            story=scenario.story,
            steps=scenario.steps,
            expected=frozenset(scenario.expected),
            forbidden=frozenset(scenario.forbidden),
        )
        for scenario in scenarios
    ]
    fine_tuned = [
        Part(
            run_id=fine_tune.run_id,
            story=fine_tune.story,
            steps=fine_tune.steps,
            expected=_REGRESSED if fine_tune.mistaught else frozenset(),
            # Nothing in the steps of the damaged one tells of the damage.
            forbidden=frozenset(SIGNAL_TYPES) - (_REGRESSED if fine_tune.mistaught else frozenset()),
        )
        for fine_tune in fine_tunes
    ]
    return [*trained, *fine_tuned, *_RECORDED]


_REGRESSED: frozenset[SignalType] = frozenset(("category_regressed",))


_RECORDED = [
    Part(
        run_id="smol-normal",
        story="recording: SmolLM2-135M fine-tuned, healthy",
        steps=100,
        expected=frozenset(),
        forbidden=frozenset(SIGNAL_TYPES),
        is_replay=True,
    ),
    Part(
        run_id="smol-diverge",
        story="recording: SmolLM2-135M, learning rate 50 times too high",
        steps=50,
        expected=frozenset(("gradient_spike",)),
        forbidden=frozenset(("attention_head_dead", "dead_layers", "loss_plateau")),
        is_replay=True,
    ),
    Part(
        run_id="smol-dead",
        story="recording: SmolLM2-135M with layers that get no gradient",
        steps=50,
        expected=frozenset(("attention_head_dead", "dead_layers")),
        forbidden=frozenset(("non_finite", "loss_diverging")),
        is_replay=True,
    ),
]


def start(
    scenarios: Iterable[Scenario],
    fine_tunes: Iterable[FineTune],
    *,
    kafka: KafkaSettings,
    topics: TopicSettings,
    logs: Path,
    models: Path,
) -> dict[str, subprocess.Popen[bytes]]:
    """Start the trainers and what replays the recordings; name → process, each with its log.

    Each scenario has a process of its own, the base and its `fine_tunes` share one, which saves them in `models`.
    """
    environ = {**to_environ(kafka), **to_environ(topics), "OMP_NUM_THREADS": "1"}
    commands = {
        scenario.name: ["streakline.demo.trainer", scenario.name, "--run-id", scenario.run_id] for scenario in scenarios
    }
    if names := [fine_tune.name for fine_tune in fine_tunes]:
        commands["fine-tunes"] = ["streakline.demo.facts_trainer", str(models), *names]
    commands["replay"] = ["streakline", "replay", *sorted(map(str, FOLDER.glob("*.jsonl")))]
    commands["replay"] += ["--speed", str(REPLAY_SPEED)]
    return {
        name: spawn([sys.executable, "-m", *command], log=logs / f"{name}.log", environ=environ)
        for name, command in commands.items()
    }
