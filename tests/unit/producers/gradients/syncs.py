"""Counting how often Python waits for a device."""

from collections.abc import Mapping
from typing import Any

from torch.overrides import TorchFunctionMode


class Syncs(TorchFunctionMode):
    """Counts every call by which Python gets hold of a tensor's numbers.

    On the meta device, where there are none, it answers `tolist` with zeros; any other way, known to it or not, raises
    there, because torch has nothing to give.
    """

    FETCHES = frozenset(
        """tolist item cpu numpy to __float__ __int__ __bool__ __index__ __array__ is_nonzero nonzero equal allclose
        unique""".split()
    )

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in self.FETCHES:
            self.count += 1
            if args[0].device.type == "meta" and func.__name__ == "tolist":
                return [0.0] * args[0].numel()
        return func(*args, **(kwargs or {}))
