"""A format of an installed package beside ours: what it may be, and what it may give."""

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from producers import extensions
from tests.unit.workers.sae.small_saes import tensors, write_saelens
from workers.errors import DiffError
from workers.sae.encoder import Sae
from workers.sae.formats import load_sae, saelens
from workers.sae.formats.files import Placement
from workers.sae.formats.format import Format
from workers.sae.formats.installed import GROUP

CPU = torch.device("cpu")


def good(folder: Path, placement: Placement) -> Sae:
    """SAELens' own, beside the files that this format is recognised by."""
    return saelens.load(folder / "within", placement)


def failing(folder: Path, placement: Placement) -> Sae:
    raise ZeroDivisionError


def none(folder: Path, placement: Placement) -> Sae:
    return None  # type: ignore[return-value]


def narrow(folder: Path, placement: Placement) -> Sae:
    return replace(good(folder, placement), encoder_bias=torch.zeros(3))


def flat(folder: Path, placement: Placement) -> Sae:
    return replace(good(folder, placement), encoder=torch.zeros(3))


def other_dtype(folder: Path, placement: Placement) -> Sae:
    return replace(good(folder, placement), encoder=torch.zeros(12, 40, dtype=torch.float64))


def negative(folder: Path, placement: Placement) -> Sae:
    return replace(good(folder, placement), layer=-1)


def exhausting(folder: Path, placement: Placement) -> Sae:
    raise torch.OutOfMemoryError("CUDA out of memory")


def refusing(folder: Path, placement: Placement) -> Sae:
    raise DiffError("sae_unsupported", "not this one")


formats = {
    load.__name__: Format("own.json", "own.safetensors", load)
    for load in (good, failing, none, narrow, flat, other_dtype, negative, exhausting, refusing)
}
globals().update({f"{name}_format": form for name, form in formats.items()})
pickled_format = Format("own.json", "own.pt", good)
elsewhere_format = Format("own.json", "../own.safetensors", good)


def install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    point = EntryPoint("team.own", f"{__name__}:{name}", GROUP)
    monkeypatch.setattr(extensions, "entry_points", lambda group: [point] if group == GROUP else [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_saelens(tmp_path / "within")
    save_file(tensors(), tmp_path / "own.safetensors")
    (tmp_path / "own.json").write_text("{}")
    return tmp_path


def test_it_is_recognised_by_its_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "good_format")
    sae = load_sae(folder, CPU, torch.float32)
    assert torch.equal(sae.encoder, load_sae(folder / "within", CPU, torch.float32).encoder)
    (folder / "own.json").unlink()
    with pytest.raises(DiffError, match=r"own\.json is missing beside own\.safetensors"):
        load_sae(folder, CPU, torch.float32)
    (folder / "own.safetensors").unlink()
    with pytest.raises(DiffError, match=r"one of: .*config\.json with ae\.pt, own\.json with own\.safetensors"):
        load_sae(folder, CPU, torch.float32)


def test_a_folder_of_ours_is_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "failing_format")
    save_file(tensors(), folder / "within" / "own.safetensors")
    (folder / "within" / "own.json").write_text("{}")
    assert load_sae(folder / "within", CPU, torch.float32).layer == 3


@pytest.mark.parametrize(
    ("name", "reason", "says"),
    [
        ("failing_format", "sae_invalid", r"'team.own' failed: ZeroDivisionError\(\).* Repair its package"),
        ("none_format", "sae_invalid", "gave a NoneType, not an Sae"),
        ("narrow_format", "sae_invalid", r"gave an encoder_bias of \[3\] .* where \[40\] in torch.float32"),
        ("flat_format", "sae_invalid", "failed: ValueError"),
        ("other_dtype_format", "sae_invalid", "gave an encoder of .* torch.float64"),
        ("negative_format", "sae_invalid", "gave the layer -1"),
        ("refusing_format", "sae_unsupported", "not this one"),
        ("pickled_format", "sae_unsupported", r"'own.pt'; .* to end in .safetensors"),
        ("elsewhere_format", "sae_unsupported", "both have to be names of files"),
        ("missing_format", "sae_unsupported", "cannot be loaded"),
        ("GROUP", "sae_unsupported", "is a str; make it a Format"),
    ],
)
def test_one_at_fault_is_told_of(
    name: str, reason: str, says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, name)
    with pytest.raises(DiffError, match=says) as raised:
        load_sae(folder, CPU, torch.float32)
    assert raised.value.reason == reason


def test_out_of_memory_stays_what_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "exhausting_format")
    with pytest.raises(torch.OutOfMemoryError):
        load_sae(folder, CPU, torch.float32)
