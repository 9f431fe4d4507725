"""The last moments at which gradients are still what backward made of them: before a clip, before an optimizer step.

Optimizers have hooks. The functions of torch.nn.utils that clip have none, so they are replaced, where callers look
them up, for as long as anybody listens. torch's ``clip_grad_norm_`` scales by an inner function that it looks up on
every call and that is replaced too: one that was imported before anybody listened is noticed all the same. A
``clip_grad_value_`` that was imported earlier, a clip of another library's, and what runs inside a compiled function
or a CUDA graph are not.
"""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from types import GeneratorType, ModuleType
from typing import Any, Protocol
from weakref import WeakValueDictionary

import torch
from torch.nn.utils import clip_grad
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

_PLACES: tuple[tuple[ModuleType, str], ...] = (
    (torch.nn.utils, "clip_grad_norm_"),
    (torch.nn.utils, "clip_grad_value_"),
    (torch.nn.utils, "clip_grads_with_norm_"),
    (clip_grad, "clip_grad_norm_"),
    (clip_grad, "clip_grad_value_"),
    (clip_grad, "_clip_grads_with_norm_"),
)


class Listener(Protocol):
    """Is told of gradients before they change. What it raises ends at `failed`, never in the training loop."""

    def before_clip(self, parameters: Sequence[torch.Tensor]) -> None:
        """The gradients of `parameters` are about to be clipped."""

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """`optimizer` is about to update its parameters."""

    def failed(self, error: Exception) -> None:
        """One of the others raised `error`."""


class _Listeners:
    """Who listens, in the order in which they began: it is the same on every rank, as that of collectives has to be."""

    def __init__(self) -> None:
        # A listener that nobody holds any more is gone; what it leaves installed goes with the next `stop`.
        self._all: WeakValueDictionary[int, Listener] = WeakValueDictionary()
        self._numbers = count()
        self._handle: RemovableHandle | None = None

    def __bool__(self) -> bool:
        return bool(self._all)

    def start(self, listener: Listener) -> None:
        self._all[next(self._numbers)] = listener
        if self._handle is None:
            self._handle = register_optimizer_step_pre_hook(_before_step)
            _replace_clips()

    def stop(self, listener: Listener) -> None:
        for number, other in list(self._all.items()):
            if other is listener:
                del self._all[number]
        if not self._all and self._handle is not None:
            self._handle.remove()
            self._handle = None
            _restore_clips()

    def tell(self, moment: Callable[[Listener], None]) -> None:
        for listener in list(self._all.values()):
            try:
                moment(listener)
            except Exception as error:
                listener.failed(error)


_listeners = _Listeners()
listen = _listeners.start
"""Tell a listener from now on, for as long as somebody holds it."""
stop_listening = _listeners.stop
"""Tell a listener no more; harmless where it was not told."""


def parameters_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """All that `optimizer` updates."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def scale_of(optimizer: torch.optim.Optimizer) -> torch.Tensor | None:
    """What the gradients are still multiplied by: GradScaler leaves it to an optimizer whose own kernel unscales."""
    return getattr(optimizer, "grad_scale", None)


def _before_step(
    optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    if _out_of_sight() or not _listeners:
        return None

    def tell() -> None:
        _listeners.tell(lambda listener: listener.before_step(optimizer))

    closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
    if not callable(closure):
        tell()
        return None
    # Backward runs inside the step. Of several evaluations the first is the step's gradient.
    told = False

    def then_told() -> Any:
        nonlocal told
        result = closure()
        if not told:
            told = True
            tell()
        return result

    return (args, kwargs | {"closure": then_told}) if "closure" in kwargs else ((args[0], then_told, *args[2:]), kwargs)


def _out_of_sight() -> bool:
    # What a compiler traces or a CUDA graph captures is run later, without the Python around it.
    if torch.compiler.is_compiling():
        return True
    is_on_cuda: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return is_on_cuda and torch.cuda.is_current_stream_capturing()


class _Inside(threading.local):
    """Whether this thread is inside a clip: of one that calls another, the outermost tells."""

    clip = False


_inside = _Inside()
_originals: dict[Callable[..., Any], Callable[..., Any]] = {}
"""replacement → what it replaces; kept, since somebody may have replaced ours in turn and still call it"""


def _replace_clips() -> None:
    replacements = {original: replacement for replacement, original in _originals.items()}
    for module, name in _PLACES:
        current = getattr(module, name)
        if current not in _originals:
            if current not in replacements:
                replacements[current] = _telling(current)
                _originals[replacements[current]] = current
            setattr(module, name, replacements[current])


def _restore_clips() -> None:
    for module, name in _PLACES:
        current = getattr(module, name)
        # Somebody else's on top of ours stays, and ours, with nobody listening, only passes on.
        setattr(module, name, _originals.get(current, current))


def _telling(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def clip(*args: Any, **kwargs: Any) -> Any:
        parameters = args[0] if args else kwargs.get("parameters")
        if _out_of_sight() or not _listeners or _inside.clip or not isinstance(parameters, Iterable):
            return original(*args, **kwargs)
        listed = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        if isinstance(parameters, Iterator):  # It is used up.
            # torch warns of an empty generator, and of nothing else that is empty.
            again = (each for each in listed) if isinstance(parameters, GeneratorType) else listed
            args, kwargs = ((again, *args[1:]), kwargs) if args else (args, kwargs | {"parameters": again})
        _inside.clip = True
        try:
            _listeners.tell(lambda listener: listener.before_clip(listed))
            return original(*args, **kwargs)
        finally:
            _inside.clip = False

    return clip
