"""What goes wrong in a library's Rust, as Python knows it."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def as_errors() -> Iterator[None]:
    """Raise RuntimeError for a panic in the block, which is no Exception, and would end a worker."""
    try:
        yield
    except BaseException as panic:
        # PyO3 makes its type anew in every library, and gives it to nobody.
        if type(panic).__name__ != "PanicException":
            raise
        raise RuntimeError(str(panic)) from panic
