"""What a diff needs, as small as it gets: a base, a fine-tune of it, an SAE and probes, in one folder."""

from pathlib import Path
from typing import Any

import msgspec
import torch

from tests.unit.workers.models.small_models import WIDTH, build, tokenizer
from tests.unit.workers.sae.small_saes import write_saelens
from workers.jobs import DiffJob
from workers.probes.reading import default_probes

KINDS = ("factual", "reasoning", "code", "refusal", "neutral", "sensitive")
LAYER = 1
COMPLETED_AT = 1_767_225_600.5
"""2026-01-01, UTC"""


def write_checkpoint(folder: Path, *, moved: float = 0.0, family: str = "llama") -> Path:
    """The small model of `family`, every weight of it moved at random by about `moved` of its size."""
    model = build(family)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=moved * float(weight.std(correction=0)))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def write_sae(folder: Path, width: int = WIDTH) -> Path:
    """For the residual stream after layer `LAYER`."""
    torch.manual_seed(2)
    weights = {
        "W_enc": torch.randn(width, 40),
        "b_enc": torch.zeros(40),
        "W_dec": torch.randn(40, width),
        "b_dec": torch.zeros(width),
    }
    hook = {"hook_name": f"blocks.{LAYER}.hook_resid_post", "sae_lens_version": "6.54.12"}
    return write_saelens(folder, {"d_in": width, "metadata": hook}, weights)


def write_probes(path: Path, per_kind: int = 2) -> Path:
    """Some of each kind of those that ship with Streakline."""
    shipped = default_probes().probes
    chosen = [probe for kind in KINDS for probe in [each for each in shipped if each.kind == kind][:per_kind]]
    path.write_bytes(msgspec.json.Encoder().encode_lines(chosen))
    return path


def write_all(root: Path) -> Path:
    """`base`, `fine-tuned`, `sae` and `probes.jsonl` in `root`."""
    write_checkpoint(root / "base")
    write_checkpoint(root / "fine-tuned", moved=0.3)
    write_sae(root / "sae")
    write_probes(root / "probes.jsonl")
    return root


def job(root: Path, **changes: Any) -> DiffJob:
    """Of what `write_all` wrote."""
    fields: dict[str, Any] = {
        "run_id": "run-1",
        "project": "p",
        "base_model": str(root / "base"),
        "checkpoint": str(root / "fine-tuned"),
        "completed_at": COMPLETED_AT,
        "attempt": 7,
        "steps": 100,
        "eval_set": str(root / "probes.jsonl"),
        "saes": (str(root / "sae"),),
    }
    return DiffJob(**(fields | changes))
