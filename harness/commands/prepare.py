"""Get the data: `python -m harness.prepare`.

Without arguments it downloads the official NAS-Bench-101 table and CIFAR-10. `--nasbench FILE_OR_URL` makes the index
of another TFRecord, `--cut INDEX` one of the cells of the search spaces alone, `--data NAME` downloads a data set. What
is there already is not fetched or built again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import OneLineParser, run_command
from harness.data.folder import ENVIRONMENT_VARIABLE, data_folder
from harness.data.registry import describe_datasets, prepare_dataset
from harness.errors import UserError
from harness.tables.index import IndexInfo
from harness.tables.open import OFFICIAL_INDEX, OFFICIAL_URL, cut_table, describe, prepare_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Raises:
        UserError: an argument, a download or a file is not usable.
    """
    options = _parser().parse_args(arguments)
    if options.data == ["list"]:
        print("\n".join(describe_datasets()))
        return 0
    datasets = [*options.data, *(["cifar10"] if options.cifar10 else [])]
    if options.cut is not None:
        if options.nasbench is not None or datasets or options.label:
            raise UserError("--cut takes --space, --out and --force only")
        _tell(*cut_table(options.cut, options.space or (1, 2, 3), out=options.out, force=options.force))
        return 0
    if options.space:
        raise UserError("--space says which cells to cut out of an index; give --cut INDEX too")
    if datasets and options.nasbench is None and (options.label or options.out):
        raise UserError("--label and --out describe a table; give --nasbench too")
    everything = options.nasbench is None and not datasets
    folder = options.folder if options.folder is not None else data_folder()
    if everything or options.nasbench is not None:
        source = options.nasbench or OFFICIAL_URL
        _tell(*prepare_table(source, folder, label=options.label, out=options.out, force=options.force))
    for name in dict.fromkeys(datasets or (["cifar10"] if everything else [])):
        print(prepare_dataset(name, folder))
    return 0


def _tell(path: Path, info: IndexInfo, made_now: bool) -> None:
    print(describe(path, info) + ("" if made_now else " (made before; --force makes it anew)"))


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
    parser.add_argument(
        "--data", metavar="NAME", nargs="+", default=[], help="download these data sets; `list` prints their names"
    )
    parser.add_argument("--cifar10", action="store_true", help="download CIFAR-10 (0.2 GB), as `--data cifar10`")
    parser.add_argument(
        "--folder", metavar="DIR", type=Path, help=f"the data folder (default: ${ENVIRONMENT_VARIABLE}, or data)"
    )
    parser.add_argument("--force", action="store_true", help="make the index even if it was made before")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
