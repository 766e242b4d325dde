"""Get the data: `python -m harness.prepare`.

Without arguments it downloads the official NAS-Bench-101 table and CIFAR-10. `--nasbench FILE_OR_URL` makes the index
of another TFRecord, `--cut INDEX` one of the cells of the search spaces alone. What is there already is not fetched or
built again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from harness.data.download import download, is_url
from harness.data.folder import ENVIRONMENT_VARIABLE, data_folder
from harness.errors import OneLineParser, UserError, run_command
from harness.tables.index import IndexInfo, StaleIndex, table_stem
from harness.tables.indexing import OFFICIAL_FILES, OFFICIAL_LABEL, build_index, cut_index
from harness.tables.query import Table
from harness.tables.tfrecord import content_sha256

OFFICIAL_URL = "https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord"
#: Name of the official table's index in the data folder.
OFFICIAL_INDEX = "nasbench101.index"

_MADE_BEFORE = " (made before; --force makes it anew)"
_OFFICIAL_FOLDER = OFFICIAL_URL.rpartition("/")[0]
#: SHA-256 of what the official addresses give.
_KNOWN_SHA256 = {f"{_OFFICIAL_FOLDER}/{name}": sha256 for sha256, name in OFFICIAL_FILES.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Raises:
        UserError: an argument, a download or a file is not usable.
    """
    options = _parser().parse_args(arguments)
    if options.cut is not None:
        return _cut(options)
    if options.space:
        raise UserError("--space says which cells to cut out of an index; give --cut INDEX too")
    folder = options.data if options.data is not None else data_folder()
    everything = options.nasbench is None and not options.cifar10
    if options.cifar10 and options.nasbench is None and (options.label or options.out):
        raise UserError("--label and --out describe a table; give --nasbench too")
    if everything or options.nasbench is not None:
        source = options.nasbench or OFFICIAL_URL
        path, info, built = prepare_table(source, folder, label=options.label, out=options.out, force=options.force)
        print(describe(path, info) + ("" if built else _MADE_BEFORE))
    if everything or options.cifar10:
        from harness.data.datasets import download_cifar10

        download_cifar10(folder)
        print(f"{folder}: CIFAR-10, 50,000 training and 10,000 test images")
    return 0


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
    with tqdm(
        desc=path.name, total=file.stat().st_size, unit="B", unit_scale=True, unit_divisor=1024, disable=None
    ) as bar:
        info = build_index(file, path, label=label, progress=lambda done, _: bar.update(done - bar.n))
    return path, info, True


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


def _cut(options: argparse.Namespace) -> int:
    if options.nasbench is not None or options.cifar10 or options.label:
        raise UserError("--cut takes --space, --out and --force only")
    spaces = sorted(set(options.space or (1, 2, 3)))
    out = options.out or options.cut.with_name(f"{options.cut.stem}_space{''.join(map(str, spaces))}.index")
    known = None if options.force else _cut_before(out, Table.open(options.cut).info, tuple(spaces))
    print(describe(out, known or cut_index(options.cut, spaces, out)) + (_MADE_BEFORE if known else ""))
    return 0


def _cut_before(path: Path, source: IndexInfo, spaces: tuple[int, ...]) -> IndexInfo | None:
    """The index at this path if it can be read and is this cut of this table."""
    known = _made_before(path, source.source_sha256, source.label)
    return known if known is not None and known.spaces == spaces else None


def describe(path: Path, info: IndexInfo) -> str:
    """An index in one line: path, cells, repeats, kind, SHA-256 of its source."""
    repeats = str(info.repeats) if info.repeats == info.fewest_repeats else f"{info.fewest_repeats} to {info.repeats}"
    budgets = ", ".join(map(str, info.epoch_budgets))
    cut = f" of space {', '.join(map(str, info.spaces))}" if info.spaces else ""
    return (
        f"{path}: {info.label} ({info.kind}), {info.cells:,} cells{cut}, {repeats} repeats at {budgets} epochs, "
        f"SHA-256 of {info.source} {info.source_sha256}"
    )


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
    name = Path(unquote(urlsplit(source).path)).name
    if not name:
        raise UserError(f"{source}: expected an address that ends in the name of a file")
    file = folder / name
    if not file.exists() or (sha256 is not None and content_sha256(file) != sha256):
        download(source, file, sha256=sha256)
    return file


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.prepare",
        description="Get the data. Without arguments: the official NAS-Bench-101 table (0.5 GB) and CIFAR-10.",
    )
    parser.add_argument(
        "--nasbench",
        metavar="FILE_OR_URL",
        nargs="?",
        const=OFFICIAL_URL,
        help="make the index of this TFRecord, plain, .xz or .gz; of an address, a file of that name already in the "
        "data folder is used (default: the official table with 108 epochs)",
    )
    parser.add_argument("--label", metavar="NAME", help="what results call a table that is not official")
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help=f"path of the index (default: {OFFICIAL_INDEX} in the data folder, or named like the file)",
    )
    parser.add_argument(
        "--cut", metavar="INDEX", type=Path, help="cut the cells of the search spaces out of an index, into another"
    )
    parser.add_argument(
        "--space",
        metavar="K",
        type=int,
        nargs="+",
        choices=(1, 2, 3),
        help="spaces whose cells --cut keeps (default: all three)",
    )
    parser.add_argument("--cifar10", action="store_true", help="download CIFAR-10 (0.2 GB)")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help=f"the data folder (default: ${ENVIRONMENT_VARIABLE}, or data)"
    )
    parser.add_argument("--force", action="store_true", help="make the index even if it was made before")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
