"""Tables by path: get one, make its index, cut it, open it.

`open_table` is how every command opens an index. `prepare_table` and `cut_table` make one, unless it was made before.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from harness.data.download import download, is_url
from harness.data.folder import data_folder
from harness.errors import UserError
from harness.tables.header import OFFICIAL_FILES
from harness.tables.index import MAGIC, IndexInfo, StaleIndex, table_stem
from harness.tables.indexing import OFFICIAL_LABEL, build_index, cut_index
from harness.tables.query import Table
from harness.tables.tfrecord import content_sha256

OFFICIAL_URL = "https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord"
OFFICIAL_INDEX = "nasbench101.index"
"""Name of the official table's index in the data folder."""

_OFFICIAL_FOLDER = OFFICIAL_URL.rpartition("/")[0]
_KNOWN_SHA256 = {f"{_OFFICIAL_FOLDER}/{name}": sha256 for sha256, name in OFFICIAL_FILES.items()}
"""SHA-256 of what the official addresses give."""


def official_index() -> Path:
    """Where `python -m harness.prepare` puts the index of the official table."""
    return data_folder() / OFFICIAL_INDEX


def open_table(path: Path) -> Table:
    """An index, made anew first where it is of another format version and its source lies beside it.

    Raises:
        UserError: the index cannot be used, and not be made anew from what is there.
    """
    try:
        return Table.open(path)
    except StaleIndex as stale:
        info = stale.info
        if info is None or info.get("spaces"):
            raise
        source = path.parent / info["source"]
        if not source.is_file() or content_sha256(source) != info["source_sha256"]:
            raise
        build_index(source, path, label=info["label"])
        print(f"{path}: was of an older format, made anew from {source}", file=sys.stderr)
        return Table.open(path)


def open_covering(path: Path, space: int | str) -> Table:
    """An index that holds the cells of a space, opened as `open_table` does.

    Raises:
        UserError: the index cannot be used, or was cut to the cells of other spaces.
    """
    table = open_table(path)
    if table.info.spaces and space not in table.info.spaces:
        raise UserError(
            f"{table.path}: cut to the cells of space {', '.join(map(str, table.info.spaces))}; search there, or take "
            "the whole index"
        )
    return table


def prepare_table(
    source: str, folder: Path, *, label: str | None = None, out: Path | None = None, force: bool = False
) -> tuple[Path, IndexInfo, bool]:
    """Make the index of a table, unless it was made before from the same content under the same label.

    Args:
        source: path or address of a TFRecord; a download is kept in the folder.
        folder: where downloads and, without `out`, the index go: `nasbench101.index` for an official file, else
            named like the source.
        label: what results call the table, unless it is official.
        out: path of the index.
        force: make it in any case.

    Returns:
        where the index lies, what it holds, and whether it was made now.

    Raises:
        UserError: the source cannot be had or is not a table.
    """
    expected = _KNOWN_SHA256.get(source)
    if expected and not force and (known := _whole_before(out or folder / OFFICIAL_INDEX, expected, None)):
        return out or folder / OFFICIAL_INDEX, known, False
    file = _local_file(source, folder, expected)
    sha256 = content_sha256(file)
    official = sha256 in OFFICIAL_FILES
    if not official and file.name in OFFICIAL_FILES.values():
        print(f"warning: {file}: not the official file by its SHA-256; its index is marked so", file=sys.stderr)
    path = out or folder / (OFFICIAL_INDEX if official else f"{table_stem(file.name)}.index")
    if not official and path == folder / OFFICIAL_INDEX:
        raise UserError(f"{path}: kept for the official table, and {file} is not it by its SHA-256; give another --out")
    if not force and (known := _whole_before(path, sha256, None if official else label or table_stem(file.name))):
        return path, known, False
    check_replaceable(path)
    with tqdm(
        desc=path.name, total=file.stat().st_size, unit="B", unit_scale=True, unit_divisor=1024, disable=None
    ) as bar:
        info = build_index(file, path, label=label, progress=lambda done, _: bar.update(done - bar.n))
    return path, info, True


def cut_table(
    source: Path, spaces: Sequence[int], *, out: Path | None = None, force: bool = False
) -> tuple[Path, IndexInfo, bool]:
    """Cut the cells of some search spaces out of an index, unless that was done before.

    Args:
        source: the index to cut.
        spaces: the spaces whose cells are kept.
        out: path of the new index; named like the source and lying beside it by default.
        force: cut in any case.

    Returns:
        where the new index lies, what it holds, and whether it was made now.

    Raises:
        UserError: the source cannot be used.
    """
    kept = tuple(sorted(set(spaces)))
    path = out or source.with_name(f"{source.stem}_space{''.join(map(str, kept))}.index")
    known = None if force else _cut_before(path, Table.open(source).info, kept)
    if known is None:
        check_replaceable(path)
    return path, known or cut_index(source, list(kept), path), known is None


def check_replaceable(path: Path) -> None:
    """Refuse to write an index over a file that is none.

    Raises:
        UserError: there is such a file.
    """
    if not path.exists():
        return
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    if head not in (MAGIC, b""):
        raise UserError(f"{path}: is there, and is no index, so it is not overwritten; give another --out")


def describe(path: Path, info: IndexInfo) -> str:
    """An index in one line: path, cells, repeats, kind, SHA-256 of its source."""
    repeats = str(info.repeats) if info.repeats == info.fewest_repeats else f"{info.fewest_repeats} to {info.repeats}"
    budgets = ", ".join(map(str, info.epoch_budgets))
    cut = f" of space {', '.join(map(str, info.spaces))}" if info.spaces else ""
    return (
        f"{path}: {info.label} ({info.kind}), {info.cells:,} cells{cut}, {repeats} repeats at {budgets} epochs, "
        f"SHA-256 of {info.source} {info.source_sha256}"
    )


def _cut_before(path: Path, source: IndexInfo, spaces: tuple[int, ...]) -> IndexInfo | None:
    """The index at this path if it can be read and is this cut of this table."""
    known = _made_before(path, source.source_sha256, source.label)
    return known if known is not None and known.spaces == spaces else None


def _whole_before(path: Path, sha256: str, label: str | None) -> IndexInfo | None:
    """The index at this path if it was made before and nothing was cut out of it."""
    known = _made_before(path, sha256, label)
    return known if known is not None and not known.spaces else None


def _made_before(path: Path, sha256: str, label: str | None) -> IndexInfo | None:
    """The index at this path if it can be read and comes from this content, under this label if one is given."""
    try:
        info = Table.open(path).info
    except UserError:
        return None
    return info if info.source_sha256 == sha256 and label in (None, info.label) else None


def _local_file(source: str, folder: Path, sha256: str | None) -> Path:
    if not is_url(source):
        file = Path(source)
        if not file.is_file():
            raise UserError(
                f"{file}: no such file; give a TFRecord or its address, or leave it out to download {OFFICIAL_LABEL}"
            )
        return file
    try:
        name = Path(unquote(urlsplit(source).path)).name
    except ValueError as error:
        raise UserError(f"{source!r}: not an address that can be asked for ({error}); check it") from None
    if not name:
        raise UserError(f"{source}: expected an address that ends in the name of a file")
    file = folder / name
    if not file.exists() or (sha256 is not None and content_sha256(file) != sha256):
        download(source, file, sha256=sha256)
    return file
