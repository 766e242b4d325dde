"""`python -m harness.run`: search a space with a method, some seeds side by side."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli import OneLineParser, parse_overrides, positive_integer, run_command, whole_number
from harness.errors import UserError
from harness.launch.grid import plain, variants
from harness.launch.pool import quit_on_signals
from harness.launch.request import Request, parse_seeds

if TYPE_CHECKING:
    from optimizers.registry import Method


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Returns:
        0, or 130 where the searches were interrupted.

    Raises:
        UserError: anything about the command line, the data or the results folder that the user can mend.
    """
    options = _parser().parse_args(arguments)
    if lists := [name for name in ("optimizer", "bench", "space") if getattr(options, name) == "list"]:
        _print_lists(lists, options.json)
        return 0
    if options.space is None or options.optimizer is None or (options.seeds is None and options.seed is None):
        raise UserError(
            "expected --space, --optimizer and --seeds, for example: "
            "python -m harness.run --space 1 --optimizer darts --seeds 2 --bench digits"
        )
    if options.json:
        raise UserError("--json goes with --optimizer list, --bench list or --space list")
    if options.seeds is not None and options.seed is not None:
        raise UserError("--seed and --seeds are both given; leave one out")
    request = Request(
        bench=options.bench,
        space=options.space,
        optimizer=options.optimizer,
        seeds=[options.seed] if options.seeds is None else parse_seeds(options.seeds),
        epochs=options.epochs,
        results=options.results,
        device=options.device,
        overrides=parse_overrides(options.set),
        name=options.name,
        workers=options.workers,
        threads=options.threads,
        table_backend=options.table_backend,
        judge=options.judge,
        judge_every=options.judge_every,
        imports=options.imports,
        keep=parse_epochs(options.keep),
        command=["python", "-m", "harness.run", *(arguments if arguments is not None else sys.argv[1:])],
    )

    from harness.launch.launching import launch

    return launch([request] if options.grid is None else grid_requests(request, options.grid), options.dry_run)


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
    names = [plain(value) for value in values]
    if not key or len(set(names)) != len(names) or len(names) < 2:
        raise UserError(f"--grid: expected KEY=VALUE,VALUE,... such as drop_path.probability=0,0.2,0.4, got {grid!r}")
    if key in request.overrides:
        raise UserError(f"--grid and --set both give {key}; leave one out")
    return variants(request, {key: values})


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


def _print_lists(lists: Sequence[str], as_json: bool) -> None:
    """Print what there is of `optimizer`, `bench` and `space`, for people or for programs."""
    content: dict[str, Any] = {}
    if "optimizer" in lists:
        from optimizers.registry import list_methods, list_offered

        offered, problems = list_offered()
        # An offered class may be registered by its own module, too.
        methods = list({method.name: method for method in [*list_methods(), *offered]}.values())
        for problem in problems:
            print(f"note: {problem}", file=sys.stderr)
        if as_json:
            content["optimizers"] = [_described(method, methods) for method in methods]
        else:
            _print_methods(methods)
    if "bench" in lists:
        from harness.benchmarks.registry import BENCHMARKS

        if as_json:
            content["benches"] = [{"name": bench.name, "summary": bench.summary} for bench in BENCHMARKS]
        else:
            width = max(len(bench.name) for bench in BENCHMARKS) + 2
            for bench in BENCHMARKS:
                print(f"{bench.name:{width}}{bench.summary}")
            print(f"{'FILE.toml':{width}}any other; the docstring of harness/benchmarks/files.py shows one")
    if "space" in lists:
        from spaces.registry import list_spaces

        spaces, problems = list_spaces()
        for problem in problems:
            print(f"note: {problem}", file=sys.stderr)
        content["spaces"] = [{"name": space.name, "label": space.label, "summary": space.summary} for space in spaces]
        width = max(len(str(space.label)) for space in spaces) + 2
        for space in [] if as_json else spaces:
            print(f"{space.label!s:{width}}{space.summary}")
    if as_json:
        print(json.dumps(content, indent=1))


def _print_methods(methods: Sequence[Method]) -> None:
    """A line for each method, and once how one with a perturbation is called."""
    from optimizers.registry import PERTURBATIONS

    plain = [method for method in methods if perturbed_form_of(method, methods) is None]
    width = max(len(method.name) for method in plain) + 2
    for method in plain:
        print(f"{method.name:{width}}{method.summary}")
    print(f"{'MODULE:CLASS':{width}}one of your own; docs/your-own-method.md shows one")
    print("\nA method that relaxes is known with each perturbation, too:")
    for suffix, (_, words) in PERTURBATIONS.items():
        print(f"{'NAME_' + suffix:{width}}NAME {words}")
    renamed: dict[str, list[str]] = {}
    for method in methods:
        unperturbed = perturbed_form_of(method, methods)
        if unperturbed and method.name.rpartition("_")[0] != unperturbed.name:
            renamed.setdefault(unperturbed.name, []).append(method.name)
    for name, names in renamed.items():
        print(f"Those of {name} are called {', '.join(names)}.")


def perturbed_form_of(method: Method, methods: Sequence[Method]) -> Method | None:
    """The method that another is with a perturbation besides, and nothing else changed; None if there is none."""
    without = {key: value for key, value in method.settings.items() if key != "perturbation.kind"}
    if len(without) == len(method.settings):
        return None
    return next(
        (
            other
            for other in methods
            if other.optimizer_class is method.optimizer_class and dict(other.settings) == without
        ),
        None,
    )


def _described(method: Method, methods: Sequence[Method]) -> dict[str, Any]:
    """A method as JSON."""
    unperturbed = perturbed_form_of(method, methods)
    return {
        "name": method.name,
        "summary": method.summary,
        "class": f"{method.optimizer_class.__module__}:{method.optimizer_class.__qualname__}",
        "settings": dict(method.settings),
        "grid": None if method.grid is None else {method.grid[0]: list(method.grid[1])},
        "perturbed_form_of": unperturbed.name if unperturbed else None,
    }


def _space(text: str) -> int | str:
    """A space by its number or its name."""
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else text


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.run",
        description="Search a NAS-Bench-1Shot1 space with a one-shot method and record, after every epoch, the true "
        "test error of the cell that the search would return, and the Hessian of the validation loss. Finished seeds "
        "are skipped, half-done ones go on.",
    )
    add = parser.add_argument
    add(
        "--space",
        type=_space,
        metavar="NUMBER|NAME",
        help="search space: 1, 2 or 3 of NAS-Bench-1Shot1, nb201, darts, s1, ...; `list` prints them",
    )
    add("--optimizer", metavar="NAME", help="method, or module:Class for one of your own; `list` prints what there is")
    add("--seeds", metavar="N|RANGE|LIST", help="6 means seeds 0 to 5; 2-4 means 2, 3 and 4; 3,5,7 means those")
    add("--seed", type=whole_number(0, 10**18), metavar="K", help="the seed K alone, as for an array of jobs")
    add("--bench", default="nb101", metavar="NAME|FILE.toml", help="benchmark (default: nb101); `list` prints them")
    add(
        "--epochs",
        type=whole_number(1, 100_000),
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
        type=whole_number(1, 1024),
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
    add("--judge", metavar="NAME", help="what says how good an architecture is (default: the benchmark's table)")
    add(
        "--judge-every",
        type=whole_number(1, 100_000),
        default=10,
        metavar="N",
        help="epochs between judgements, where one takes long, as training does (default: 10)",
    )
    add(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module of the current folder first, which registers a companion, a probe, a space or a data set",
    )
    add(
        "--keep",
        default="",
        metavar="LIST",
        help="keep the checkpoints of these epochs, such as 0,50,100, which `python -m harness.landscape` and "
        "`harness.correlate` look at; 0 is before any training, and that of the last epoch always stays",
    )
    add("--dry-run", action="store_true", help="say what would be run and stop")
    add("--json", action="store_true", help="print a list as JSON, every name and setting in it")
    return parser


if __name__ == "__main__":
    quit_on_signals()
    sys.exit(run_command(main))
