"""Writes the lake: whole files or none, and the same bytes for the same rows."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path, PurePosixPath

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct
from pyarrow import fs

from workers.errors import LakeAway, TransientDiffError
from workers.lake.durable import replace, unconfirmed
from workers.lake.paths import VERSION, file_path, folder, generation_of, is_visible, locate
from workers.lake.schemas import rows_to_table, with_common
from workers.lake.tables import TABLES, Common, LowConfidenceRow
from workers.lake.turns import turn
from workers.uris import shown

FEATURES = "sae_feature_diff"
LAYER_OF_A_DIFF = ("run_id", "diff_id", "layer")
"""a row group of `sae_feature_diff`"""
ROW_GROUP_ROWS = 65_536
"""of the other tables: what threads share, and what a question about one run need not read"""
_LISTINGS = 10
"""of one folder, before what it lists is taken for unreadable"""
WITHOUT_FOLDERS = frozenset({"s3", "gcs", "abfs"})
"""file systems in which a folder is but a part of a name"""


class Lake:
    """The tables under `root`, a folder or a URI that pyarrow knows. Holds nothing open; any process may have its own.

    Every method raises `LakeAway` where the storage fails.
    """

    def __init__(self, root: str) -> None:
        """Raises ValueError where `root` is neither."""
        with _unavailable(shown(root)):
            self._location = locate(root)

    def write(
        self,
        table: str,
        data: pa.Table | Sequence[Struct],
        common: Common,
        confirm: Callable[[], None] = unconfirmed,
    ) -> str:
        """Store all that a diff says in `table`, in place of what it said before; gives the file's path.

        `data` has the columns of the table's row struct, or is rows of it; it may be empty. Write `runs` last: until
        then no view shows the diff. `confirm` is called before it is to be seen, and keeps it from being so by raising.
        Raises ValueError for rows that are not the table's.
        """
        rows = data if isinstance(data, pa.Table) else rows_to_table(data, TABLES[table])
        whole = with_common(rows, table, common)
        if table == FEATURES:
            whole = whole.take(pc.sort_indices(whole, [("layer", "ascending"), ("feature", "ascending")]))
        path = file_path(table, project=common.project, dt=common.dt, run_id=common.run_id, diff_id=common.diff_id)
        return self.write_bytes(path, serialise(table, whole), confirm)

    @contextmanager
    def turn(self, table: str, common: Common) -> Iterator[None]:
        """For who reads what a diff says in `table`, changes it and writes it: nobody else does so meanwhile.

        Nobody is kept out where the lake is not local: no other storage has locks. Raises what the block does as well.
        """
        path = file_path(table, project=common.project, dt=common.dt, run_id=common.run_id, diff_id=common.diff_id)
        with contextlib.ExitStack() as stack:
            if self._location.is_local:
                with _unavailable(path):
                    stack.enter_context(turn(Path(self._location.path(f"{table}/{VERSION}")), path))
            yield

    def write_bytes(self, relative_path: str, data: bytes, confirm: Callable[[], None] = unconfirmed) -> str:
        """Store `data` at `relative_path` below the root, whole or not at all; gives the full path.

        `confirm` is called as by `write`. Raises ValueError for a path that leads out of the root.
        """
        path = self._below_root(relative_path)
        with _unavailable(path):
            if self._location.is_local:
                replace(Path(path), data, confirm)
            else:
                confirm()
                _put(self._location.filesystem, path, data)
        return path

    def read_bytes(self, relative_path: str) -> bytes | None:
        """What `write_bytes` stored there; None where there is no such file. Raises ValueError as it does."""
        path = self._below_root(relative_path)
        with _unavailable(path):
            try:
                with self._location.filesystem.open_input_file(path) as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

    def files(self, relative_path: str) -> dict[str, int]:
        """Path below the root → bytes of each file in that folder and its own; none where there is no such folder.

        Raises ValueError as `write_bytes` does.
        """
        path = self._below_root(relative_path)
        with _unavailable(path):
            selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
            infos = self._location.filesystem.get_file_info(selector)
        start = len(self._location.path(""))
        return {info.path[start:]: info.size for info in infos if info.type == fs.FileType.File}

    def delete(self, relative_path: str) -> None:
        """Delete that file, or that folder with all that is in it; nothing need be there.

        Raises ValueError as `write_bytes` does.
        """
        path = self._below_root(relative_path)
        with _unavailable(path), suppress(FileNotFoundError):
            info = self._location.filesystem.get_file_info(path)
            if info.type == fs.FileType.Directory:
                self._location.filesystem.delete_dir(path)
            elif info.type != fs.FileType.NotFound:
                self._location.filesystem.delete_file(path)

    def read(self, table: str, *, project: str, day: str, run_id: str, diff_id: str) -> pa.Table | None:
        """The rows of one diff in `table`, common columns first; None where no file has any.

        A diff with a row in `runs` is whole.
        """
        own = self._location.path(file_path(table, project=project, dt=day, run_id=run_id, diff_id=diff_id))
        known = {"project": project, "dt": day, "run_id": run_id, "diff_id": diff_id}
        for _ in range(_LISTINGS):
            try:
                # The diff's own first: compaction clears it away only once its rows are elsewhere.
                for path in chain((own,), self._compacted(table, project, day)):
                    rows = self._rows_of(path, known, may_be_missing=path == own)
                    if rows is not None:
                        return rows
                return None
            except FileNotFoundError:
                continue  # compacted further since it was listed
        raise _unusable(own, FileNotFoundError("files that are listed cannot be opened"))

    def _compacted(self, table: str, project: str, day: str) -> Iterator[str]:
        """The compact files that may have it, the least compacted first, listed once the first is asked for."""
        found = []
        for place in (folder(table, project=project, dt=day), f"{table}/{VERSION}"):
            path = self._location.path(place)
            with _unavailable(path):
                infos = self._location.filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
            found += [info for info in infos if is_visible(info.base_name) and generation_of(info.base_name)]
        yield from (info.path for info in sorted(found, key=lambda info: generation_of(info.base_name)))

    def _below_root(self, relative_path: str) -> str:
        """The full path; raises ValueError for one that leads out of the root."""
        relative = PurePosixPath(relative_path)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise ValueError(f"{relative_path!r} is not a path below the lake's root; name a file inside it.")
        return self._location.path(str(relative))

    def _rows_of(self, path: str, known: Mapping[str, str], *, may_be_missing: bool) -> pa.Table | None:
        """Raises FileNotFoundError for a compact file that is gone."""
        try:
            with self._location.filesystem.open_input_file(path) as file:
                rows = pq.read_table(file, filters=[(name, "=", value) for name, value in known.items()])
        except FileNotFoundError:
            if may_be_missing:
                return None
            raise
        except pa.ArrowInvalid as error:
            raise TransientDiffError(
                "unavailable",
                f"{path} is no Parquet file ({error}). Put it back as it was, or take it out of the lake.",
            ) from error
        except OSError as error:
            raise _unusable(path, error) from error
        return rows if rows.num_rows else None


def low_confidence_jsonl(rows: Sequence[LowConfidenceRow]) -> bytes:
    """`rows` as a dataset to train on: a JSON object a line, with the right answer as its `completion`."""
    lines = []
    for row in rows:
        rest = msgspec.structs.asdict(row)
        line = {"prompt": rest.pop("prompt"), "completion": rest.pop("answer"), **rest}
        lines.append(msgspec.json.encode(line) + b"\n")
    return b"".join(lines)


def serialise(table: str, data: pa.Table, metadata: Mapping[str, str] | None = None, *, group_rows: int = 1) -> bytes:
    """`data` as the bytes of a Parquet file of `table`, with `metadata` beside it; equal for equal rows.

    `sae_feature_diff` gets a row group for each stretch of rows of one layer, or for as many of them as have
    `group_rows` together, and its floats byte-stream split, which takes half the room of a dictionary of values that
    hardly repeat. Raises ValueError for a null where none may be.
    """
    # Chunks and metadata that came along would show in the bytes.
    data = data.combine_chunks().replace_schema_metadata(dict(metadata) if metadata else None)
    floats = [field.name for field in data.schema if table == FEATURES and pa.types.is_floating(field.type)]
    others: list[str] | bool = [name for name in data.column_names if name not in floats] if floats else True
    buffer = io.BytesIO()
    with pq.ParquetWriter(
        buffer, data.schema, compression="zstd", use_dictionary=others, use_byte_stream_split=floats or False
    ) as writer:
        if table == FEATURES:
            for start, stop in _stretches(data, group_rows):
                writer.write_table(data.slice(start, stop - start), row_group_size=stop - start)
        else:
            writer.write_table(data, row_group_size=ROW_GROUP_ROWS)
    return buffer.getvalue()


def _stretches(data: pa.Table, least: int) -> Iterator[tuple[int, int]]:
    """[start, stop) of the rows of each layer of each diff, those that follow each other together up to `least`."""
    if data.num_rows == 0:
        return
    keys = [data[name].combine_chunks() for name in LAYER_OF_A_DIFF]
    differs = [pc.not_equal(key.slice(1), key.slice(0, data.num_rows - 1)) for key in keys]
    starts = pc.indices_nonzero(pc.or_(pc.or_(differs[0], differs[1]), differs[2])).to_pylist()
    begun = 0
    for bound in (*(start + 1 for start in starts), data.num_rows):
        if bound - begun >= least or bound == data.num_rows:
            yield begun, bound
            begun = bound


def _put(filesystem: fs.FileSystem, path: str, data: bytes) -> None:
    """One put: an object store shows an object only once it is whole."""
    if filesystem.type_name not in WITHOUT_FOLDERS:
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
    with filesystem.open_output_stream(path) as stream:
        stream.write(data)


@contextmanager
def _unavailable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: str, error: OSError) -> LakeAway:
    return LakeAway(
        f"The lake cannot be used at {path}: {error}. Check that the disk has room, that this user may write "
        "there, and that the storage answers; it is then tried again.",
    )
