from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.benchmarks.embedded.nb201 import NB201_SMALL
from harness.benchmarks.registry import get_benchmark
from harness.commands import run
from harness.errors import UserError
from spaces.registry import get_space
from tests.support.image_files import encode, random_image


@pytest.fixture
def copied_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose CIFAR-10 is a pixel-exact copy, of 40 and 10 images."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    folder = tmp_path / "cifar10-png"
    folder.mkdir()
    for split, count in (("train", 40), ("test", 10)):
        images = [{"bytes": encode(random_image(seed, 32, 32)), "path": f"{seed}.png"} for seed in range(count)]
        table = pa.table({"img": images, "label": [seed % 10 for seed in range(count)]})
        pq.write_table(table, folder / f"cifar10_{split}.parquet")
    return tmp_path


def test_images_are_those_of_the_copy_where_the_official_ones_are_missing(copied_images: Path) -> None:
    arrays = NB201_SMALL.images()
    assert arrays.train_images.shape == (40, 3, 32, 32)
    assert arrays.name == "parquet:cifar10-png"
    assert tuple(arrays.mean) == pytest.approx((0.49139968, 0.48215827, 0.44653124), abs=1e-3)


def test_without_any_images_one_line_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    with pytest.raises(UserError, match="cifar"):
        NB201_SMALL.images()


def test_the_table_judges_its_spaces_and_no_other() -> None:
    bench = get_benchmark("nb201")
    judge = bench.judge(get_space("nb201"))
    architecture = get_space("nb201").read(
        {"string": "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"}
    )
    verdict = judge.judge(architecture, 3, last=False)
    assert verdict.test_error == pytest.approx(1 - 0.54297, abs=1e-4)
    assert bench.judge_in("1") == "none"


def test_every_line_of_the_small_one_says_what_is_scaled_down(copied_images: Path) -> None:
    command = "--space nb201 --bench nb201-small --optimizer random_ws --seeds 1 --epochs 1 --device cpu --name tiny"
    settings = {"data.images": 16, "data.batch_size": 8, "selection.samples": 2, "selection.finalists": 1}
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    results = copied_images / "results"
    assert run.main([*command.split(), *sets, "--results", str(results)]) == 0
    lines = (results / "nb201-small" / "nb201" / "random_ws@tiny" / "seed0" / "epochs.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        assert line["scale"] == (
            "8 channels, 3 x 1 cells, 16+16 images, shrunk 2 times; supernet and images scaled down, table in full"
        )
        assert line["table"] == "NAS-Bench-201 CIFAR-10"
        assert line["cell"] == line["architecture"]["string"]
        assert line["test_error"] is not None
    config = json.loads((results / "nb201-small" / "nb201" / "random_ws@tiny" / "seed0" / "config.json").read_text())
    assert config["table"]["optimum"]["test_error"] == pytest.approx(1 - 0.9437, abs=1e-3)
