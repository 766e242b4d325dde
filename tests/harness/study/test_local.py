"""A study on this machine: its runs are those of `harness.run`, through failures, kills and calls again."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks.benchmark import Benchmark
from harness.data.arrays import ImageArrays
from harness.errors import UserError
from harness.launch.launching import launch
from harness.study.array import export, run_task
from harness.study.cleaning import clean
from harness.study.expansion import expand, requests
from harness.study.file import read_study
from harness.study.folder import StudyFolder
from harness.study.journal import read_lines
from harness.study.local import LocalEngine
from harness.study.looking import looked_at
from harness.study.running import Options, run_study
from harness.study.status import missing, status_of

ROOT = Path(__file__).parents[3]

STUDY = """format = 1
name = "small"
bench = "digits"
[[search]]
optimizers = ["darts", "gdas"]
spaces = [1]
seeds = 2
epochs = 2
name = "tiny"
set = { network.channels = 2, data.images = 20, data.batch_size = 10, hessian.every = 0 }
"""

DIVERGING = """[[search]]
optimizers = ["darts"]
spaces = [1]
seeds = 1
epochs = 2
name = "diverges"
set = { network.channels = 2, data.images = 20, data.batch_size = 10, hessian.every = 0, weights.learning_rate = 1e9 }
[run]
workers = 2
"""


def written(folder: Path, text: str = STUDY) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def lines_of(results: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of every run folder, seconds and checksums aside."""
    found = {}
    for path in sorted(results.glob("digits/**/epochs.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        kept = [{key: value for key, value in line.items() if key not in ("seconds", "check")} for line in lines]
        found[str(path.parent.relative_to(results))] = kept
    return found


@pytest.fixture(scope="module")
def by_harness_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The searches of the study as `harness.run` runs them."""
    folder = tmp_path_factory.mktemp("run")
    study = read_study(written(folder))
    assert launch([asked.request for asked in requests(study, folder / "results")]) == 0
    return folder / "results"


def test_a_study_records_what_harness_run_records_and_a_diverged_seed_keeps_no_other_from_it(
    tmp_path: Path, by_harness_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, results = read_study(written(tmp_path, STUDY + DIVERGING)), tmp_path / "results"
    assert run_study(study, LocalEngine(2), Options(results)) == 1
    out = capsys.readouterr().out
    assert "digits/space1/darts@diverges/seed0  diverged  1         training loss at epoch 2, step 1" in out
    assert out.endswith("small: 4 of 5 tasks finished, 1 failed\n")
    found = lines_of(results)
    diverged = found.pop("digits/space1/darts@diverges/seed0")
    assert (diverged[-1]["epoch"], diverged[-1]["cell"]) == (2, None)
    assert found == lines_of(by_harness_run)

    before = {path: path.stat().st_mtime_ns for path in results.glob("digits/**/epochs.jsonl")}
    assert run_study(study, LocalEngine(2), Options(results)) == 1
    assert {path: path.stat().st_mtime_ns for path in results.glob("digits/**/epochs.jsonl")} == before

    status = status_of(study, results)
    assert {state: count for state, count in status.to_json()["counts"].items() if count} == {
        "finished": 4,
        "diverged": 1,
    }
    assert missing(study, results) == [("digits/space1/darts@diverges/seed0", "diverged after epoch 2")]
    assert len(looked_at(study, results).paths) == 5

    run = results / "digits/space1/darts@diverges/seed0"
    assert clean(study, results, yes=False) == [run]
    assert run.exists()
    assert clean(study, results, yes=True) == [run]
    assert not run.exists()
    assert len(lines_of(results)) == 4


def test_looking_at_a_study_whose_file_changed_since_its_first_run_warns(
    tmp_path: Path, by_harness_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    shutil.copytree(by_harness_run, results)
    study = read_study(written(tmp_path))
    assert run_study(study, LocalEngine(2), Options(results)) == 0
    looked_at(study, results)
    assert "changed" not in capsys.readouterr().err
    changed = read_study(written(tmp_path, STUDY + "[compare]\nbaseline = 'gdas@tiny'\n"))
    assert looked_at(changed, results).baseline == "gdas@tiny"
    assert "was changed since the study's first run" in capsys.readouterr().err
    assert status_of(changed, results).changed


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_a_results_folder_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    results.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(UserError, match="cannot be written"):
        run_study(read_study(written(tmp_path)), LocalEngine(1), Options(results))


def test_tasks_of_an_array_record_the_same_and_the_script_is_one(
    tmp_path: Path, by_harness_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, results, script = read_study(written(tmp_path)), tmp_path / "results", tmp_path / "job.sh"
    scripts = export(study, results, script, limit=3)
    assert [path.name for path in scripts] == ["job.sh", "job-2.sh"]
    for path in scripts:
        assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    text, second = (path.read_text() for path in scripts)
    assert "#SBATCH --array=0-2\n" in text
    assert "#SBATCH --array=0-0\n" in second
    for option in ("--requeue", "--signal=B:TERM@60", "--open-mode=append"):
        assert f"#SBATCH {option}\n" in text
    # As SLURM would, the last array's only job.
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", str(scripts[1])], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    key = "digits/space1/gdas@tiny/seed1"
    assert done.stdout.endswith(f"{key}: finished, epoch 2, test error {done.stdout.rpartition(' error ')[2]}")
    assert lines_of(results) == {key: lines_of(by_harness_run)[key]}
    listing = script.with_suffix(".tasks.json")
    assert run_task(study, results, 3, listing) == 0
    assert capsys.readouterr().out.startswith(f"{key}: finished")
    with pytest.raises(UserError, match="expected a number from 0 to 3, got 4"):
        run_task(study, results, 4, listing)
    (line,) = [line for path in StudyFolder(results, "small").own_journals.iterdir() for line in read_lines(path)][2:]
    assert (line["task"], line["ending"], line["engine"]) == (key, "finished", "array")
    changed = read_study(written(tmp_path, STUDY + "keep = [1]\n"))
    with pytest.raises(UserError, match=r"was changed since .* was written; export it again"):
        run_task(changed, results, 0, listing)


def test_planning_loads_what_all_searches_of_a_study_share_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    original = Benchmark.images

    def counted(self: Benchmark) -> ImageArrays:
        loads.append(self.name)
        return original(self)

    monkeypatch.setattr(Benchmark, "images", counted)
    assert len(expand(read_study(written(tmp_path)), tmp_path / "results").tasks) == 4
    assert loads == ["digits"]
