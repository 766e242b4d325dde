"""One seed of a request: plain data that travels to any process, and the search that this process then runs.

A seed names its method and its benchmark; the process that runs it makes settings and objects from them, so that what
travels needs neither torch nor a plug-in to be read. Only `run_seed` imports torch.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.benchmarks.registry import get_benchmark
from harness.launch.identity import check_same
from harness.launch.provenance import changed_since, environment
from harness.launch.request import Request
from harness.records.run_folder import CONFIG, ENVIRONMENT, RunFolder

if TYPE_CHECKING:
    from harness.launch.pool import Link


@dataclass(frozen=True)
class Seed:
    """One seed to run; everything in it can be pickled and holds no object of torch.

    Attributes:
        request: what it is a seed of.
        number: the seed.
        path: its run folder, which no other seed of a launch has.
        label: what messages call it.
        device: cpu or cuda.
        record: what `config.json` is to hold.
        defaults: section -> field -> value that settings have in records from before them.
    """

    request: Request
    number: int
    path: Path
    label: str
    device: str
    record: dict[str, Any]
    defaults: dict[str, Any]

    @property
    def epochs(self) -> int:
        """Epochs of the search."""
        return int(self.record["epochs"])


def run_seed(seed: Seed, link: Link) -> None:
    """Run a seed to its end, or until the link says stop; tells the link every new line.

    Raises:
        UserError: the folder holds another run, or one that cannot go on.
        RunFolderError: the folder is damaged, or another process holds it.
    """
    from harness.search.settings import resolve
    from harness.search.setup import build, import_for, judge_of, known_method, known_space

    folder = RunFolder(seed.path)
    with folder.locked():
        record = seed.record
        if (seed.path / CONFIG).exists():
            record = folder.config()
            check_same(seed.path, record, seed.record, seed.defaults)
            record = {**record, "keep": sorted({*record.get("keep", ()), *seed.request.keep})}
        request = seed.request
        import_for(request)
        bench, method = get_benchmark(request.bench), known_method(request.optimizer)
        space = known_space(request.space)
        config, _ = resolve(method, space, bench.settings_in(space.label), request.overrides, request.epochs)
        judge = judge_of(bench, space, config, seed.device, request)
        search = build(folder, record, bench.images(), method, config, judge, seed.device, space)
        # A resumed run names every machine and version that it ran on.
        starts = folder.starts() if (seed.path / ENVIRONMENT).exists() else []
        start = environment(request.command, seed.device, request.table_backend, method.optimizer_class)
        if starts and folder.epochs() and (changes := changed_since(starts[-1], start)):
            print(
                f"note: {seed.label}: goes on under other conditions than it was begun under, so that its lines may "
                f"not repeat to the bit: {'; '.join(changes)}",
                file=sys.stderr,
            )
        folder.create(record, {"starts": [*starts, start]})
        search.run(link.tell, link.stopped)
