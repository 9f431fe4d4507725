from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streakline.cli import lines
from streakline.cli.errors import CommandError, ExitCode
from streakline.cli.lines import Line, Problems, check_files, read_lines, size_of


def read(path: Path, raw: bytes, max_bytes: int = 1 << 20) -> list[Line]:
    path.write_bytes(raw)
    return list(read_lines([path], max_bytes=max_bytes))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines") / "events.jsonl"


@given(
    parts=st.lists(st.binary(max_size=12) | st.sampled_from([b"", b" \t\r", b"x" * 40])),
    read_bytes=st.integers(1, 64),
    max_bytes=st.integers(1, 20),
)
def test_lines_are_those_of_the_whole_file_however_it_is_read(
    path: Path, parts: list[bytes], read_bytes: int, max_bytes: int
) -> None:
    raw = b"\n".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_READ_BYTES", read_bytes)
        found = read(path, raw, max_bytes)
    whole = raw.split(b"\n")
    expected = [
        (number, line[:max_bytes], len(line)) for number, line in enumerate(whole, 1) if line[:max_bytes].strip()
    ]
    assert [(line.number, line.raw, line.size_bytes) for line in found] == expected


def test_a_long_line_is_cut_and_the_next_one_is_whole(path: Path) -> None:
    first, second = read(path, b"x" * 1_000_000 + b"\n{}\n", max_bytes=100)
    assert (first.size_bytes, first.is_cut, len(first.raw)) == (1_000_000, True, 100)
    assert (second.number, second.raw, second.is_cut) == (2, b"{}", False)


def test_every_read_is_told_of_when_its_lines_were_taken(path: Path) -> None:
    path.write_bytes(b"a\nb\n")
    events: list[object] = []
    events += (line.raw for line in read_lines([path, path], on_read=events.append))
    assert events == [b"a", b"b", 4, b"a", b"b", 4]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot read .*/missing: No such file or directory") as missing:
        check_files([tmp_path / "missing"])
    assert missing.value.exit_code is ExitCode.BAD_INPUT
    with pytest.raises(CommandError, match="is a folder: name the files in it"):
        check_files([tmp_path])


def test_the_size_of_a_pipe_is_not_known(path: Path) -> None:
    path.write_bytes(b"12345")
    assert size_of([path, path]) == 10
    assert size_of([path, Path("-")]) is None
    assert size_of([Path("/dev/null")]) is None


def test_twenty_problems_are_shown_and_all_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    problems = Problems()
    for number in range(1, 24):
        problems.lines += 1
        problems.add(Line("a\x1b.jsonl", number, b"", 0), "no\nevent")
    with pytest.raises(CommandError, match=r"skipped 23 of 23 lines, .* \(the first 20 are above\)"):
        problems.raise_if_any()
    shown = capsys.readouterr().err.splitlines()
    assert (len(shown), shown[0]) == (20, r"a\x1b.jsonl:1: no\nevent")
