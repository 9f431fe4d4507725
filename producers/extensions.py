"""What installed packages add to Streakline, under the entry point group of its kind."""

from importlib.metadata import EntryPoint, entry_points


class BrokenExtension(ValueError):
    """What a package adds cannot be had; the message is a sentence with the remedy."""


def offered(group: str) -> dict[str, EntryPoint]:
    """Name → what installed packages have under `group`, by name. Raises `BrokenExtension` where a name is two's."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        if point.name in found:
            raise BrokenExtension(
                f"Two installed packages have {point.name!r} under the entry point group {group!r}: "
                f"{found[point.name].value!r} and {point.value!r}. Uninstall one of them."
            )
        found[point.name] = point
    return found


def load(point: EntryPoint) -> object:
    """What `point` leads to, imported. Raises `BrokenExtension`."""
    try:
        return point.load()
    except Exception as error:
        raise BrokenExtension(
            f"{point.name!r} of the entry point group {point.group!r} cannot be loaded from {point.value!r}: "
            f"{error!r}. Repair its package, or uninstall it."
        ) from error
