"""The project from a notebook or a script: `search` runs what the command line runs, `load_runs` reads what it wrote.

    from harness import load_runs, search

    runs = search(space=1, optimizer="sdarts_adv", seeds=6, bench="digits")
    frame = load_runs("results/")

Nothing here imports torch, numpy or pandas before a function needs it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import EXIT_INTERRUPTED, UserError
from harness.intruders import refuse_intruders
from harness.launch.request import Request
from harness.records.run_folder import RunFolder, RunFolderError, find_runs

if TYPE_CHECKING:
    import pandas

CONFIGURATION = ("bench", "space", "optimizer", "name", "seed")
"""What `config.json` says of a run and each row of `load_runs` repeats."""


def search(
    space: int | str,
    optimizer: str,
    seeds: int | Sequence[int],
    *,
    bench: str = "nb101",
    epochs: int | None = None,
    results: str | Path = "results",
    settings: Mapping[str, object] | None = None,
    name: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    threads: int = 1,
    judge: str | None = None,
    judge_every: int = 10,
    imports: Sequence[str] = (),
    keep: Sequence[int] = (),
    on_epoch: Callable[[Path, dict[str, Any]], None] | None = None,
) -> list[RunFolder]:
    """Search a space with a method, as `python -m harness.run` does: finished seeds are skipped, half-done ones go on.

    Seeds run in processes of their own and write run folders; progress is printed.

    Args:
        space: number or name of the search space.
        optimizer: name of the method, or `module:Class` of a module that can be imported.
        seeds: 6 means the seeds 0 to 5; a sequence means those in it.
        bench: name or TOML path of the benchmark.
        epochs: epochs, over which schedules stretch; None for the benchmark's.
        results: where run folders lie.
        settings: settings by dotted key, such as {"perturbation.steps": 1}.
        name: name of the variant.
        device: auto, cpu or cuda.
        workers: seeds side by side; None for one a core, or one on a GPU.
        threads: CPU threads of each seed.
        judge: what says how good an architecture is; None for the benchmark's own.
        judge_every: epochs between judgements, where one takes long.
        imports: modules to import first, for what they register.
        keep: epochs whose checkpoints are kept.
        on_epoch: called in this process after every new epoch of a seed, with the seed's folder and the epoch's line,
            as `epochs.jsonl` holds it: what a logger such as Weights & Biases or MLflow wants. An exception that it
            raises ends the searches; what was recorded is kept.

    Returns:
        the run folder of each seed, in the order of the seeds.

    Raises:
        UserError: something cannot be run as asked, or a seed failed; why was printed.
        KeyboardInterrupt: the searches were interrupted; what was recorded is kept.
    """
    refuse_intruders()
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not numbers or min(numbers) < 0 or len(set(numbers)) != len(numbers):
        raise UserError(f"expected seeds as a number of 1 or more, or as different numbers from 0, got {seeds!r}")
    request = Request(
        bench=bench,
        space=space,
        optimizer=optimizer,
        seeds=numbers,
        epochs=epochs,
        results=Path(results),
        device=device,
        overrides={key: str(value) for key, value in (settings or {}).items()},
        name=name,
        workers=workers,
        threads=threads,
        judge=judge,
        judge_every=judge_every,
        imports=imports,
        keep=keep,
        command=["harness.search", f"space={space!r}", f"optimizer={optimizer!r}", f"seeds={seeds!r}"],
    )

    from harness.launch.launching import launch_plans
    from harness.launch.plan import plan_all
    from harness.launch.pool import start_server

    with _without_main_file():
        start_server(["harness.launch.seed_imports"])
        plans = plan_all([request])
        status = launch_plans(plans, on_epoch)
    if status == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise UserError("a seed failed, for the reason printed above; what was recorded is kept, and the others ran on")
    return [RunFolder(seed.path) for seed in plans[0].seeds]


def load_runs(results: str | Path) -> pandas.DataFrame:
    """Every epoch of every run at or below a folder, as a tidy frame.

    Args:
        results: the folder given to `search` or `harness.run --results`, or any below it.

    Returns:
        one row an epoch, runs in the order of their folders and epochs ascending from 0. The columns are `run` (the
        folder as text), those in `CONFIGURATION`, `epoch`, and each entry of the lines that is a number, a text or a
        truth value; errors are fractions. The parts of `seconds` are columns of their own, such as `seconds.train`.
        What a run did not record is missing (NaN or None).

    Raises:
        UserError: pandas is not installed.
        RunFolderError: no such folder, no run in it, or one that is damaged; the message names it.
    """
    try:
        import pandas
    except ImportError:
        raise UserError(
            "load_runs needs pandas, which is not installed; pip install 'one-shot-nas-harness[pandas]'"
        ) from None
    return pandas.DataFrame([row for run in find_runs(Path(results)) for row in _rows(run)])


def _rows(run: RunFolder) -> Iterator[dict[str, Any]]:
    """The epochs of a run, each as column -> value."""
    config = run.config()
    try:
        described = {"run": str(run.path), **{key: config.get(key) for key in CONFIGURATION}}
        for line in run.epochs():
            yield {**described, "epoch": line["epoch"], **_scalars(line)}
    except (AttributeError, KeyError, TypeError) as error:
        raise RunFolderError(f"{run.path}: is not a run that this version can read ({error!r})") from None


def _scalars(line: Mapping[str, Any]) -> dict[str, Any]:
    """What of a line fits in a cell of a frame; null counts, so that a column is there."""
    seconds = {f"seconds.{phase}": value for phase, value in (line.get("seconds") or {}).items()}
    return {**{key: value for key, value in line.items() if not isinstance(value, (dict, list))}, **seconds}


@contextlib.contextmanager
def _without_main_file() -> Iterator[None]:
    """While the block runs, new processes do not run the user's script again before they begin.

    Python gives every process that it starts the main module of its parent, so that a script without a guard would
    call `search` in each of them. Seeds need nothing of it.
    """
    main = sys.modules["__main__"]
    missing = object()
    before = {key: getattr(main, key, missing) for key in ("__file__", "__spec__")}
    try:
        if before["__file__"] is not missing:
            del main.__file__
        main.__spec__ = None
        yield
    finally:
        for key, value in before.items():
            if value is not missing:
                setattr(main, key, value)
