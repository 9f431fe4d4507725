"""Publishing a run from inside its training loop, without ever getting in the loop's way.

Three lines in a trainer::

    from streakline import StepPublisher

    with StepPublisher(run_id="sft-7", project="assistant") as run:
        run.watch(model)
        for step, batch in enumerate(batches):
            loss = train_on(batch)
            run.step(step, loss)
"""

import atexit
import operator
import os
import sys
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsFloat, SupportsIndex, get_args

import msgspec

from producers.codec import decode, encode
from producers.early_stop import EarlyStop
from producers.events import (
    DEFAULT_PROJECT,
    DetectorType,
    Lifecycle,
    RunCompleted,
    RunFailed,
    RunStarted,
    Signal,
    StepEvent,
    StepSignalType,
)
from producers.kafka import KafkaSettings
from producers.outbox import Outbox
from producers.ranks import any_rank, is_publishing_rank
from producers.settings import load_settings
from producers.spool.folder import Owner
from producers.spool.record import Topic
from producers.spool.settings import SpoolSettings
from producers.tally import PublisherStats, described, log
from producers.topics import TopicSettings, topic_names

if TYPE_CHECKING:
    import torch

    from producers.gradients.norms import Measured
    from producers.gradients.watch import GradientWatch, Scaler

CLOSE_TIMEOUT_SECONDS = 10.0
MAX_ERROR_CHARACTERS = 65_536

_IDENTIFIER = "1-128 characters of A-Z a-z 0-9 . _ : / @ -"
_REMEDIES = {
    "run_id": _IDENTIFIER,
    "project": _IDENTIFIER,
    "early_stop": f"a list of {', '.join(get_args(DetectorType))} or of installed detectors' types, as in team.check",
}


class StepPublisher:
    """One attempt of one run, published as it trains.

    Making it announces the run; `attempt` is the current Unix second unless given, so a resumed run is a new attempt.
    Leaving the ``with`` block completes the run, or fails it where an exception leaves the block, and waits at most
    `close_timeout_seconds` for the broker; so does the end of the process. Raises ValueError, before anything is
    published, for an argument or a setting that cannot be right. From then on nothing here raises or waits for
    disk or network: a thread keeps events in a spool on disk and sends them. What cannot be published is counted in
    `stats` and said in the log named ``streakline``.

    Where training runs on several ranks, make one on each: that of rank 0 publishes, the others do nothing but take
    part in what all ranks have to do together. `rank` is found out unless given. A forked child makes its own.
    """

    def __init__(
        self,
        *,
        run_id: str,
        project: str = DEFAULT_PROJECT,
        base_model: str | os.PathLike[str] | None = None,
        early_stop: Iterable[StepSignalType] = (),
        layer_kinds: Mapping[str, str] | None = None,
        config: Mapping[str, object] | None = None,
        attempt: int | None = None,
        rank: int | None = None,
        kafka: KafkaSettings | None = None,
        topics: TopicSettings | None = None,
        spool: SpoolSettings | None = None,
        close_timeout_seconds: float = CLOSE_TIMEOUT_SECONDS,
    ) -> None:
        now = time.time()
        self._started = _announcement(
            run_id=run_id,
            ts=now,
            attempt=int(now) if attempt is None else attempt,
            project=project,
            base_model=_path(base_model),
            early_stop=early_stop,
            layer_kinds=layer_kinds,
            config={} if config is None else config,
        )
        self.steps_taken = 0
        """optimizer steps, as `complete` will say: the highest step published and one, unless set"""
        self._close_timeout_seconds = close_timeout_seconds
        self._has_ended = False
        self._watch: GradientWatch | None = None
        self._outbox: Outbox | None = None
        self._early_stop: EarlyStop | None = None
        # An exception that ends the process is found here when it has.
        self._last_error = id(getattr(sys, "last_value", None))
        if not is_publishing_rank(rank):
            log.info("run %s: this is not rank 0, which publishes it", self.run_id)
            return
        kafka = kafka or load_settings(KafkaSettings)
        names = topic_names(topics or load_settings(TopicSettings))
        owner = Owner(run_id=self.run_id, bootstrap=kafka.kafka_bootstrap, steps=names.steps, runs=names.runs)
        self._outbox = Outbox(owner, kafka, spool or load_settings(SpoolSettings))
        if self._started.early_stop:
            self._early_stop = EarlyStop(self.run_id, self.attempt, kafka, names.signals)
        atexit.register(self._at_exit)
        self._tell(self._started)

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self._started.run_id

    @property
    def attempt(self) -> int:
        """Which attempt at the run this is."""
        return self._started.attempt

    @property
    def is_publishing(self) -> bool:
        """Whether this is the rank that publishes."""
        return self._outbox is not None

    @property
    def stats(self) -> PublisherStats:
        """The counts so far; those of a step come a moment after it."""
        return PublisherStats(0, 0, 0, 0) if self._outbox is None else self._outbox.stats()

    @property
    def should_stop(self) -> Signal | None:
        """The signal that asks this run to stop; only where the run was made with its type in `early_stop`.

        On the publishing rank alone, and at no cost: see `should_stop_on_any_rank`.
        """
        return None if self._early_stop is None else self._early_stop.signal

    def should_stop_on_any_rank(self) -> bool:
        """Whether to stop, the same answer on every rank: all have to ask at the same step.

        One number is reduced over all ranks (and waited for); nothing is where the run did not ask for early stops.
        """
        return bool(self._started.early_stop) and any_rank(self.should_stop is not None)

    def watch(self, model: "torch.nn.Module", *, scaler: "Scaler | None" = None) -> None:
        """Take the norms of the model's gradients at every optimizer step, for the `step` that follows it.

        They are taken before they are clipped by ``torch.nn.utils`` (or anything that calls it), else right before
        the optimizer's step: once per optimizer step, also with gradient accumulation. `scaler` is the GradScaler,
        where there is one. Call it on every rank, after the model is wrapped. See `GradientWatch`.
        """
        try:
            # Here, because it imports torch.
            from producers.gradients.watch import GradientWatch  # noqa: PLC0415

            self.unwatch()
            self._watch = GradientWatch(model, scaler=scaler, takes=self.is_publishing)
        except Exception as error:
            log.error("run %s: its gradients cannot be watched: %s", self.run_id, described(error))

    def unwatch(self) -> None:
        """Take no more norms; closing does this, too. On every rank, like `watch`."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def measure(self) -> None:
        """Take the norms now: after unscaling, before a clipping that `watch` does not know of."""
        if self._watch is not None:
            self._watch.measure()

    def step(
        self,
        step: SupportsIndex,
        loss: SupportsFloat,
        *,
        learning_rate: SupportsFloat | None = None,
        gradients: "Measured | None" = None,
        max_grad: SupportsFloat | None = None,
        grad_norms: Mapping[str, SupportsFloat | None] | None = None,
        dead_layers: Iterable[str] | None = None,
        epoch: SupportsFloat | None = None,
    ) -> None:
        """Publish one optimizer step; `step` counts from 0 and grows.

        The gradient norms are those of `watch`, or `gradients` as `GradientNorms.measure` gave them before clipping;
        `max_grad` and `grad_norms` (layer → norm, None: not measured) are for norms measured otherwise, and go before
        both. A tensor or NumPy scalar is taken as its number, which waits for its device.
        """
        watched = None if self._watch is None else self._watch.take()
        if self._outbox is None:
            return
        try:
            measured = watched if gradients is None else gradients
            if measured is not None:
                max_grad = measured.max_grad if max_grad is None else max_grad
                grad_norms = measured.grad_norms if grad_norms is None else _numbers(grad_norms)
            elif grad_norms is not None:
                grad_norms = _numbers(grad_norms)
            event = StepEvent(
                run_id=self._started.run_id,
                attempt=self._started.attempt,
                step=operator.index(step),
                ts=time.time(),
                loss=_number(loss),
                learning_rate=_number_or_none(learning_rate),
                max_grad=_number_or_none(max_grad),
                grad_norms=grad_norms,  # type: ignore[arg-type]  # numbers by now
                dead_layers=None if dead_layers is None else list(dead_layers),
                epoch=_number_or_none(epoch),
            )
        except Exception as error:
            self._outbox.refuse(StepEvent, error)
            return
        if self._has_ended:
            self._outbox.refuse(StepEvent, ValueError("the run has ended"))
        elif self._outbox.put(Topic.STEPS, event) and event.step >= self.steps_taken:
            self.steps_taken = event.step + 1

    def complete(
        self,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        eval_set: str | os.PathLike[str] | None = None,
        saes: Iterable[str | os.PathLike[str]] | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        steps: int | None = None,
    ) -> None:
        """Publish that the run ended well; with a `checkpoint` (folder of safetensors), it is compared with its base.

        Paths are published as they are and have to mean the same to the diff workers. `steps` is the number of
        optimizer steps taken: the highest step published and one, unless given.
        """
        try:
            event = RunCompleted(
                run_id=self.run_id,
                attempt=self.attempt,
                ts=time.time(),
                project=self._started.project,
                base_model=self._started.base_model,
                steps=self.steps_taken if steps is None else steps,
                checkpoint=_path(checkpoint),
                eval_set=_path(eval_set),
                saes=None if saes is None else tuple(os.fspath(sae) for sae in saes),
                tokenizer=_path(tokenizer),
            )
            decode(encode(event))
        except Exception as error:
            if self._outbox is not None:
                self._outbox.refuse(RunCompleted, error)
            return
        self._end(event)

    def fail(self, error: BaseException | str) -> None:
        """Publish that the run ended with `error`."""
        text = described(error) if isinstance(error, BaseException) else str(error)
        event = RunFailed(
            run_id=self.run_id,
            attempt=self.attempt,
            ts=time.time(),
            project=self._started.project,
            base_model=self._started.base_model,
            error=text.encode(errors="replace").decode()[:MAX_ERROR_CHARACTERS],
        )
        self._end(event)

    def close(self, timeout_seconds: float | None = None) -> bool:
        """Wait for the broker, at most `timeout_seconds`, and let go of it; what is published afterwards is dropped.

        What has not arrived by then stays in the spool, and the next publisher on this machine sends it. True where
        everything that was published on this run is on its topics. Does not end the run.
        """
        atexit.unregister(self._at_exit)
        self.unwatch()
        if self._early_stop is not None:
            self._early_stop.close()
        if self._outbox is None:
            return True
        return self._outbox.close(self._close_timeout_seconds if timeout_seconds is None else timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours and not self._has_ended:
            if error is None:
                self.complete()
            else:
                self.fail(error)
        self.close()

    @property
    def _is_ours(self) -> bool:
        """Whether the run is published from here, and not by another rank or a parent process."""
        return self._outbox is not None and not self._outbox.is_elsewhere

    def _at_exit(self) -> None:
        error = getattr(sys, "last_value", None)
        if self._is_ours and not self._has_ended and error is not None and id(error) != self._last_error:
            self.fail(error)
        self.close()

    def _end(self, event: RunCompleted | RunFailed) -> None:
        if self._outbox is None:
            return
        if self._has_ended:
            self._outbox.refuse(type(event), ValueError("the run has ended"))
        else:
            self._has_ended = True
            self._tell(event)

    def _tell(self, event: Lifecycle) -> None:
        """Both topics: in order with the steps for the stream application, and where diff workers read."""
        if self._outbox is not None:
            self._outbox.put(Topic.BOTH, event)


def _announcement(**values: Any) -> RunStarted:
    """The event of `values`. Raises ValueError with one sentence."""
    if isinstance(config := values["config"], Mapping):
        values["config"] = {str(name): str(value) for name, value in config.items()}
    if isinstance(types := values["early_stop"], Iterable) and not isinstance(types, str):
        values["early_stop"] = list(types)
    try:
        started = msgspec.convert(values, RunStarted)
        decode(encode(started))
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`").split("[")[0].split(".")[0]
        remedy = f"{values[field]!r} should be {_REMEDIES[field]}" if field in _REMEDIES else reason
        raise ValueError(f"StepPublisher cannot take its {field}: {remedy}") from None
    return started


def _number(value: SupportsFloat) -> float:
    if type(value) is float:
        return value
    # float() of a tensor that requires a gradient warns; item() of one does not.
    item = getattr(value, "item", None)
    return float(value if item is None else item())


def _number_or_none(value: SupportsFloat | None) -> float | None:
    return None if value is None else _number(value)


def _numbers(values: Mapping[str, SupportsFloat | None]) -> dict[str, float | None]:
    return {name: _number_or_none(value) for name, value in values.items()}


def _path(path: str | os.PathLike[str] | None) -> str | None:
    return os.fspath(path) if isinstance(path, os.PathLike) else path
