"""What is planned for requests, and what their seeds are."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks.registry import Benchmark, get_benchmark
from harness.data.arrays import ImageArrays
from harness.errors import UserError
from harness.launch import launching, plan
from harness.launch.plan import plan_all
from harness.launch.request import Request
from harness.launch.seed import Seed
from harness.tables.space_table import SpaceTable

ROOT = Path(__file__).parents[3]


def request(results: Path, **changed: Any) -> Request:
    given = {"bench": "digits", "space": 1, "optimizer": "darts", "seeds": [0], "epochs": 2, "workers": 3}
    return Request(**{**given, "results": results, **changed})


def test_seeds_of_all_requests_share_one_pool_in_the_order_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[list[str], int]] = []

    def remember(seeds: Sequence[Seed], workers: int, on_epoch: object) -> int:
        calls.append(([str(seed.path.relative_to(tmp_path)) for seed in seeds], workers))
        return 0

    monkeypatch.setattr(launching, "run_seeds", remember)
    requests = [request(tmp_path, optimizer=name, seeds=[0, 1]) for name in ("gdas", "darts")]
    assert launching.launch([*requests, request(tmp_path, optimizer="darts", seeds=[1, 2])]) == 0
    names = ["gdas/seed0", "gdas/seed1", "darts/seed0", "darts/seed1", "darts/seed2"]
    assert calls == [([f"digits/space1/{name}" for name in names], 3)]
    out = capsys.readouterr().out
    assert f"digits/space1/gdas/seed1: new, 2 epochs, {tmp_path}/digits/space1/gdas/seed1\n" in out
    assert f"digits/space1/darts/seed2: no epoch finished, {tmp_path}/digits/space1/darts/seed2\n" in out


def test_two_requests_that_mean_one_folder_with_different_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"darts/seed0: asked for twice, with epochs = 2, then with 3"):
        plan_all([request(tmp_path), request(tmp_path, epochs=3)])


def test_data_and_table_are_loaded_once_for_all_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: Counter[str] = Counter()

    def counting(name: str) -> Benchmark:
        bench = get_benchmark(name)

        class Counted(Benchmark):
            def images(self) -> ImageArrays:
                loads["images"] += 1
                return super().images()

        return Counted(**vars(bench))

    def truths(self: SpaceTable, epochs: int) -> dict[str, Any]:
        loads[f"truths {self.space.label}"] += 1
        return original(self, epochs)

    original = SpaceTable.truths
    monkeypatch.setattr(SpaceTable, "truths", truths)
    monkeypatch.setattr(plan, "get_benchmark", counting)
    plan_all([request(tmp_path, optimizer=name, space=space) for space in (1, 2) for name in ("darts", "gdas")])
    assert loads == {"images": 1, "truths 1": 1, "truths 2": 1}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"space": "nb102"}, "--space: unknown space 'nb102'; did you mean nb101_2"),
        ({"optimizer": "sdart_adv"}, "unknown optimizer 'sdart_adv'; did you mean sdarts_adv"),
        ({"optimizer": "zzz"}, "unknown optimizer 'zzz'; known: darts"),
        ({"threads": 10**6}, "--threads: expected 1 to 1024"),
        ({"name": "x" * 255}, "--name: expected .* at most 100 of them"),
        ({"epochs": 10**9}, "epochs: expected a whole number from 1 to 100,000"),
    ],
)
def test_a_mistake_is_found_before_anything_starts(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        plan_all([request(tmp_path, **changed)])
    assert not list(tmp_path.iterdir())


def modules_after(code: str, *arguments: str) -> set[str]:
    """The modules of a process that ran some code."""
    code += "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", code, *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(answer.stdout))


def test_launching_is_imported_without_torch() -> None:
    rooms = [path.stem for path in (ROOT / "harness" / "launch").glob("*.py") if path.stem != "seed_imports"]
    assert len(rooms) > 8
    loaded = modules_after("\n".join(f"import harness.launch.{room}" for room in rooms))
    assert "torch" not in loaded


def test_a_seed_travels_without_torch(tmp_path: Path) -> None:
    (planned,) = plan_all([request(tmp_path)])
    (tmp_path / "seed").write_bytes(pickle.dumps(planned.seeds[0]))
    assert (tmp_path / "seed").stat().st_size < 10_000
    loaded = modules_after("import pickle, sys\npickle.load(open(sys.argv[1], 'rb'))", str(tmp_path / "seed"))
    assert "harness.launch.seed" in loaded
    assert "torch" not in loaded
