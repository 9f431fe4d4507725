"""Names in paths."""

from urllib.parse import unquote

import pytest

from streakline.dashboard.addresses import is_name, name_in, project_path, run_path


@pytest.mark.parametrize("name", ["sft-7", "team/sft:1", "a/../b", ".", "..", "...", "@x", "_", "-"])
def test_a_name_comes_back(name: str) -> None:
    part = run_path(name).removeprefix("/runs/")
    assert "/" not in part
    assert part not in {".", ".."}
    assert name_in(unquote(part)) == name
    assert project_path(name) == f"/projects/{part}"


@pytest.mark.parametrize("text", ["", "a b", "<script>", "a\n", "ü", "a" * 129, "~", "a~"])
def test_what_no_run_may_be_called_is_no_name(text: str) -> None:
    assert not is_name(text)
    assert name_in(text) is None
