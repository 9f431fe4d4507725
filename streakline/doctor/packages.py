"""What is installed, against what this release needs and was made with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from platform import python_version

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from streakline.alerting import shipped
from streakline.doctor.findings import Finding, ok, some, wrong

_SUBJECT = "packages"
_BASE = ""
EXTRAS: Mapping[str, str] = {
    _BASE: "trainers and this command",
    "stream": "stream workers",
    "workers": "diff workers, archivers and questions to the lake",
    "dashboard": "the dashboard and reports",
    "local": "`streakline up` and `demo`",
    "tensorboard": "reading TensorBoard's files",
}
"""extra → what needs it"""

Installed = Callable[[str], str | None]
"""name of a package → its version; None where it is not installed"""


class Extra(Struct, frozen=True, kw_only=True):
    """One of them, looked at."""

    missing: Sequence[str]
    unfit: Sequence[str]
    """packages whose version is not one that this release works with, each with what it wants"""
    others: Sequence[str]
    """packages of another version than this release was made with"""


def look_at_packages() -> Iterator[Finding]:
    """This installation's."""
    yield ok(_SUBJECT, f"Streakline {version('streakline')} on Python {python_version()}")
    wanted = [Requirement(each) for each in requires("streakline") or ()]
    file = shipped("constraints.txt")
    made_with = pinned(file.read_text("utf-8")) if file.exists() else {}
    for extra, what in EXTRAS.items():
        yield judge_extra(extra, what, surveyed(extra, wanted, made_with, _installed))


def pinned(constraints: str) -> dict[str, str]:
    """Name → version, of each line that says both.

    >>> pinned("# made with\\nPyYAML==6.0.2\\n")
    {'pyyaml': '6.0.2'}
    """
    parts = (line.split("==", 1) for line in constraints.splitlines() if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name.strip()): number.strip() for name, number in parts}


def surveyed(extra: str, wanted: Sequence[Requirement], made_with: Mapping[str, str], installed: Installed) -> Extra:
    """How far the requirements of one extra are met; "" is the base install. Pure, but for `installed`."""
    missing, unfit, others = [], [], []
    for each in wanted:
        if each.name == "streakline" or not _is_of(each, extra):
            continue
        name = canonicalize_name(each.name)
        if (number := installed(name)) is None:
            missing.append(name)
        elif not each.specifier.contains(number, prereleases=True):
            unfit.append(f"{name} {number} (it has to be {each.specifier})")
        elif name in made_with and made_with[name].partition("+")[0] != number.partition("+")[0]:
            others.append(f"{name} {number} for {made_with[name]}")
    return Extra(missing=missing, unfit=unfit, others=others)


def judge_extra(extra: str, what: str, found: Extra) -> Finding:
    """What there is to say of it. Pure."""
    name = f"streakline[{extra}]" if extra else "streakline"
    install = f"pip install '{name}'"
    if found.unfit:
        return wrong(_SUBJECT, f"{name}, for {what}: {', '.join(found.unfit)}", install)
    if found.missing and not extra:
        return wrong(_SUBJECT, f"{', '.join(found.missing)} is missing", install)
    if found.missing:
        return ok(_SUBJECT, f"{name}, for {what}, is not installed ({some(found.missing)}); {install} does that")
    others = f"; not the versions this release was made with: {', '.join(found.others)}" if found.others else ""
    return ok(_SUBJECT, f"{name}, for {what}, is installed{others}")


def _is_of(requirement: Requirement, extra: str) -> bool:
    """Whether `extra` adds it: what the base install has is told of there."""
    if requirement.marker is None:
        return extra == _BASE
    return requirement.marker.evaluate({"extra": extra}) and (
        extra == _BASE or not requirement.marker.evaluate({"extra": _BASE})
    )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
