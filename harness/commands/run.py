"""`python -m harness.run`: search a space with a method, some seeds side by side."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import OneLineParser, UserError, positive_integer, run_command

if TYPE_CHECKING:
    from harness.launch.launching import Request


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Returns:
        0, or 130 where the searches were interrupted.

    Raises:
        UserError: anything about the command line, the data or the results folder that the user can mend.
    """
    options = _parser().parse_args(arguments)
    if options.optimizer == "list" or options.bench == "list":
        _print_lists(options.optimizer == "list", options.bench == "list")
        return 0
    if options.space is None or options.optimizer is None or options.seeds is None:
        raise UserError(
            "expected --space, --optimizer and --seeds, for example: "
            "python -m harness.run --space 1 --optimizer darts --seeds 2 --bench digits"
        )
    seeds = parse_seeds(options.seeds)

    # Importing torch takes seconds, which `--help` and a mistyped seed do not wait for.
    from harness.launch.launching import Request, launch

    request = Request(
        bench=options.bench,
        space=options.space,
        optimizer=options.optimizer,
        seeds=seeds,
        epochs=options.epochs,
        results=options.results,
        device=options.device,
        overrides=parse_overrides(options.set),
        name=options.name,
        workers=options.workers,
        threads=options.threads,
        table_backend=options.table_backend,
        keep=parse_epochs(options.keep),
        command=["python", "-m", "harness.run", *(arguments if arguments is not None else sys.argv[1:])],
    )
    requests = [request] if options.grid is None else grid_requests(request, options.grid)
    return launch(requests, dry_run=options.dry_run)


def grid_requests(request: Request, grid: str) -> list[Request]:
    """The same search at each value of one setting, as variants named after the value.

    Args:
        request: the search.
        grid: KEY=VALUE,VALUE,..., or nothing for the grid of the method's authors.

    Raises:
        UserError: the method has none, the grid is not of that form, or the setting is set besides.
    """
    if grid:
        key, _, text = grid.partition("=")
        values = [value.strip() for value in text.split(",") if value.strip()]
    else:
        key, values = _authors_grid(request.optimizer)
    names = [_plain(value) for value in values]
    if not key or len(set(names)) != len(names) or len(names) < 2:
        raise UserError(f"--grid: expected KEY=VALUE,VALUE,... such as drop_path.probability=0,0.2,0.4, got {grid!r}")
    if key in request.overrides:
        raise UserError(f"--grid and --set both give {key}; leave one out")
    prefix = f"{request.name}-" if request.name else ""
    return [
        dataclasses.replace(request, name=prefix + name, overrides={**request.overrides, key: value})
        for name, value in zip(names, values, strict=True)
    ]


def _plain(value: str) -> str:
    """A number as it is usually written, so that .2 and 0.20 are one variant; other text as it is."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value


def _authors_grid(optimizer: str) -> tuple[str, list[str]]:
    from optimizers.registry import get_method, list_methods

    try:
        grid = get_method(optimizer).grid
    except ValueError as error:
        raise UserError(str(error)) from None
    if grid is None:
        known = [method.name for method in list_methods() if method.grid]
        raise UserError(
            f"--grid: {optimizer} has no grid of its own, {' and '.join(known)} have; give one as KEY=VALUE,VALUE,..."
        )
    key, values = grid
    return key, [str(value) for value in values]


def parse_seeds(text: str) -> list[int]:
    """`6` means the seeds 0 to 5; `3,5,7` means those, and `3,` the seed 3 alone.

    Raises:
        UserError: not of that form, none at all, or one twice.
    """
    form = "--seeds: expected a number of seeds such as 6, or a list such as 3,5,7"
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(f"{form}, got {text!r}") from None
    if "," not in text:
        if len(numbers) != 1 or numbers[0] < 1:
            raise UserError(f"{form}; at least 1, got {text!r}")
        return list(range(numbers[0]))
    if not numbers or min(numbers) < 0:
        raise UserError(f"{form}; seeds from 0, got {text!r}")
    if len(set(numbers)) != len(numbers):
        raise UserError(f"{form}; each once, got {text!r}")
    return numbers


def parse_epochs(text: str) -> list[int]:
    """`0,50,100` as numbers, ascending and each once.

    Raises:
        UserError: not of that form.
    """
    try:
        numbers = sorted({int(part) for part in text.split(",") if part.strip()})
    except ValueError:
        numbers = [-1]
    if numbers and numbers[0] < 0:
        raise UserError(f"--keep: expected epochs such as 0,50,100, got {text!r}")
    return numbers


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """What `--set` was given, as key -> value.

    Raises:
        UserError: not of the form key=value, or a key twice.
    """
    overrides: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set: expected key=value such as perturbation.steps=1, got {pair!r}")
        if key.strip() in overrides:
            raise UserError(f"--set: {key.strip()} is given twice")
        overrides[key.strip()] = value.strip()
    return overrides


def _print_lists(optimizers: bool, benches: bool) -> None:
    if optimizers:
        from optimizers.registry import list_methods, list_offered

        offered, problems = list_offered()
        # An offered class may be registered by its own module, too.
        methods = list({method.name: method for method in [*list_methods(), *offered]}.values())
        width = max(len(method.name) for method in methods) + 2
        for method in methods:
            settings = f" {json.dumps(dict(method.settings))}" if method.settings else ""
            print(f"{method.name:{width}}{method.summary}{settings}")
        print(f"{'MODULE:CLASS':{width}}one of your own; docs/your-own-method.md shows one")
        for problem in problems:
            print(f"note: {problem}", file=sys.stderr)
    if benches:
        from harness.benchmarks.registry import BENCHMARKS

        for bench in BENCHMARKS:
            print(f"{bench.name:14}{bench.summary}")
        print(f"{'FILE.toml':14}any other; the docstring of harness/benchmarks/files.py shows one")


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.run",
        description="Search a NAS-Bench-1Shot1 space with a one-shot method and record, after every epoch, the true "
        "test error of the cell that the search would return, and the Hessian of the validation loss. Finished seeds "
        "are skipped, half-done ones go on.",
    )
    add = parser.add_argument
    add("--space", type=int, choices=(1, 2, 3), help="search space")
    add("--optimizer", metavar="NAME", help="method, or module:Class for one of your own; `list` prints what there is")
    add("--seeds", metavar="N|LIST", help="6 means seeds 0 to 5; 3,5,7 means those")
    add("--bench", default="nb101", metavar="NAME|FILE.toml", help="benchmark (default: nb101); `list` prints them")
    add(
        "--epochs",
        type=positive_integer,
        metavar="N",
        help="epochs, over which schedules stretch (default: the benchmark's, 100)",
    )
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="where run folders lie (default: results)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: cuda where there is one")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated")
    add(
        "--grid",
        nargs="?",
        const="",
        metavar="KEY=VALUE,...",
        help="run a variant for each value of a setting; without a value, the grid that the method's authors try. "
        "`python -m harness.choose` then chooses among them",
    )
    add("--name", metavar="NAME", help="name of this variant; its folder is OPTIMIZER@NAME")
    add(
        "--workers",
        type=positive_integer,
        metavar="N",
        help="seeds run side by side (default: one a core on the CPU, 1 on a GPU)",
    )
    add(
        "--threads",
        type=positive_integer,
        default=1,
        metavar="N",
        help="CPU threads of a seed; part of what makes a run repeat to the bit (default: 1)",
    )
    add(
        "--table-backend",
        choices=("index", "nasbench"),
        default="index",
        help="what answers for the table: our index, or the official API, which gives the same numbers from the file "
        "that the index was made from, needs TensorFlow and loads it for minutes (default: index)",
    )
    add(
        "--keep",
        default="",
        metavar="LIST",
        help="keep the checkpoints of these epochs, such as 0,50,100, which `python -m harness.landscape` and "
        "`harness.correlate` look at; 0 is before any training, and that of the last epoch always stays",
    )
    add("--dry-run", action="store_true", help="say what would be run and stop")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
