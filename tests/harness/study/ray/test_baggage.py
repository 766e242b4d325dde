"""What travels to nodes besides orders: plug-ins, and the files that benchmarks read."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harness.benchmarks.registry import get_benchmark
from harness.errors import UserError
from harness.study.expansion import expand
from harness.study.file import read_study
from harness.study.ray.baggage import Baggage, settled, unpacked_here
from harness.study.ray.parcel import ParcelError, packed, unpacked
from harness.study.ray.probe import code, need_of, needs_of
from harness.study.task import TABLE, Task
from tests.support.studies import planned_tasks

BENCH = """
name = "own"
[images]
source = "own_images:own"
path = "images"
[settings]
"network.channels" = 2
"data.images" = 20
"data.batch_size" = 10
"""

PLUGIN = """
import numpy as np
from harness.data.arrays import LabelledImages
from harness.data.registry import register_dataset

@register_dataset("own", "some noise", padding=0, flip=False)
def own(folder):
    with np.load(folder / "noise.npz") as arrays:
        return LabelledImages(arrays["x"], arrays["y"], arrays["x"], arrays["y"])
"""


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))


@pytest.fixture
def own_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A benchmark of images of one's own, with the module that reads them beside it."""
    home = tmp_path / "home"
    (home / "images").mkdir(parents=True)
    (home / "own_images.py").write_text(PLUGIN)
    (home / "own.toml").write_text(BENCH)
    draws = np.random.default_rng(0)
    noise, labels = draws.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8), draws.integers(0, 10, 60)
    np.savez(home / "images" / "noise.npz", x=noise, y=labels)
    monkeypatch.syspath_prepend(str(home))
    (home / "study.toml").write_text(
        'format = 1\nname = "own"\nbench = "own.toml"\n[[search]]\noptimizers = ["darts"]\nspaces = [1]\nseeds = 1\n'
        'epochs = 1\nimports = ["own_images"]\n[run]\ndevice = "cpu"\n'
    )
    monkeypatch.delitem(sys.modules, "own_images", raising=False)
    return home


def test_a_benchmark_is_read_on_a_node_as_here_whether_it_travels_or_lies_there(
    own_bench: Path, tmp_path: Path
) -> None:
    tasks = expand(read_study(own_bench / "study.toml"), tmp_path / "results", "cpu").tasks
    baggage = Baggage.of(tasks, ship_data=True)
    assert [Path(path) for path in baggage.modules] == [own_bench / "own_images.py"]
    [archive] = baggage.archives.values()
    assert sorted(zipfile.ZipFile(io.BytesIO(archive.content)).namelist()) == ["images/noise.npz", "own.toml"]
    here = unpacked_here(archive.content)
    assert here == unpacked_here(archive.content)
    bench = settled(baggage.content_of(tasks[0]))["request"]["bench"]
    assert bench == str(here / "own.toml")
    there = get_benchmark(bench).images()
    assert there.train_images.tobytes() == get_benchmark(str(own_bench / "own.toml")).images().train_images.tobytes()
    assert settled(baggage.environment_of(tasks[0])) == {"HARNESS_DATA": str(here / archive.data)}
    need = settled(baggage.needs(needs_of(tasks)))[need_of(tasks[0])]
    assert need["seed"]["request"]["bench"] == bench
    assert need["plugins"]["own_images"]

    left = Baggage.of(tasks, ship_data=False)
    assert left.content_of(tasks[0])["request"]["bench"] == str(own_bench / "own.toml")
    assert left.environment_of(tasks[0]) == {}


def test_what_the_project_and_installed_packages_hold_does_not_travel(tmp_path: Path) -> None:
    baggage = Baggage.of(planned_tasks(tmp_path), ship_data=True)
    assert baggage.modules == ()
    [archive] = baggage.archives.values()
    assert zipfile.ZipFile(io.BytesIO(archive.content)).namelist() == []


def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("../../planted.py", "planted")
    with pytest.raises(UserError, match="leads out of its folder"):
        unpacked_here(content.getvalue())
    assert not list(tmp_path.rglob("planted.py"))


def test_jobs_of_a_unit_that_are_measured_are_not_sent_again(tmp_path: Path) -> None:
    groups = [[{"number": 3}, {"number": 4}], [{"number": 5}]]
    task = Task("tables/t/unit0", TABLE, tmp_path, {"images": "digits", "groups": groups}, jobs=(3, 4, 5))
    (tmp_path / "job000003.json").write_text("{}")
    assert Baggage().content_of(task)["groups"] == [[{"number": 4}], [{"number": 5}]]


def test_code_is_told_by_version_and_content() -> None:
    assert code() == code()
    assert code().startswith("0.")


def test_a_parcel_comes_out_as_it_went_in() -> None:
    files = {"epochs.jsonl": b"{}\n", "checkpoints/epoch12.pt": b"\0\1", "job000012.json": b""}
    assert unpacked(packed({"lines": ["a"]}, files)) == ({"lines": ["a"]}, files)


@pytest.mark.parametrize("name", ["../env.json", "/etc/passwd", "checkpoints/epoch1.pt/../x", "job1.json", ".lock", ""])
def test_a_parcel_holds_files_of_attempts_alone(name: str) -> None:
    with pytest.raises(ParcelError, match="no attempt writes"):
        unpacked(packed({}, {name: b"x"}))
