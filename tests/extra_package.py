"""The package of `examples/streakline-extra`, really installed, and what it brings to bear on."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.documents import ROOT

SOURCE = ROOT / "examples" / "streakline-extra"
DETECTOR = "extra.learning_rate_zero"


def install(folder: Path, source: Path = SOURCE) -> Path:
    """`pip install` of the package at `source` alone, without a network, to be put on Python's path from `folder`."""
    copy, site = folder / "source", folder / "site"
    # pip builds in the folder that it is given.
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    alone = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", "install", *alone, "--target", site, copy], check=True, timeout=200)
    return site


def write_plain_sae(folder: Path, config: Mapping[str, object], weights: Mapping[str, torch.Tensor]) -> Path:
    folder.mkdir(parents=True)
    (folder / "plain_sae.json").write_text(json.dumps(config))
    save_file(dict(weights), folder / "plain_sae.safetensors")
    return folder
