from __future__ import annotations

from pathlib import Path

import pytest

from harness.benchmarks.registry import get_benchmark
from harness.errors import UserError
from harness.tables.indexing import build_index, cut_index
from harness.tables.query import Table
from harness.tables.tfrecord import Evaluation, Record, encode_record, write_tfrecord
from spaces.nb101.space import get_space

BENCH = """
name = "trial"
[images]
source = "digits"
[table]
path = "trial.index"
[settings]
"network.channels" = 2
[settings.data]
images = 50
"""


@pytest.fixture
def bench_file(tmp_path: Path) -> Path:
    table_of_ten(tmp_path / "trial.index")
    (tmp_path / "trial.toml").write_text(BENCH)
    return tmp_path / "trial.toml"


def table_of_ten(index: Path) -> None:
    """Ten cells of space 1, each with one training."""
    records = [
        Record(
            hash=cell.hash,
            epochs=3,
            matrix=tuple(map(tuple, cell.matrix.tolist())),
            ops=cell.ops,
            halfway=Evaluation(),
            final=Evaluation(3, 1.0, 0.9, 0.8, 0.7),
            trainable_parameters=5,
            total_time=1.0,
        )
        for cell in get_space(1).enumerate()[:10]
    ]
    write_tfrecord(index.with_suffix(".tfrecord"), map(encode_record, records))
    build_index(index.with_suffix(".tfrecord"), index, label="trial")


def test_a_file_describes_a_benchmark(bench_file: Path) -> None:
    bench = get_benchmark(str(bench_file))
    assert bench.name == "trial"
    assert bench.images().name == "digits"
    assert len(bench.table(1)) == 10
    assert bench.settings == {"network.channels": 2, "data.images": 50}


@pytest.mark.parametrize("space", [1, 2])
def test_digits_has_every_cell_of_a_space_in_its_table(space: int) -> None:
    table = get_benchmark("digits").table(space)
    assert table.info.label == "digits"
    assert not table.info.is_official
    assert set(table.hashes()) == {cell.hash for cell in get_space(space).enumerate()}


def test_digits_says_what_to_do_for_a_space_without_a_table() -> None:
    with pytest.raises(UserError, match=r"no table of space 3 yet.*--space 1 or 2.*harness\.tabulate"):
        get_benchmark("digits").table(3)


def test_missing_official_data_names_file_command_and_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    bench = get_benchmark("nb101")
    with pytest.raises(UserError, match=r"nasbench101\.index.*harness\.prepare.*--bench digits"):
        bench.table(1)
    with pytest.raises(UserError, match=r"harness\.prepare.*--bench digits"):
        bench.images()


def test_table_cut_to_other_spaces_is_refused(bench_file: Path) -> None:
    index = bench_file.with_suffix(".index")
    cut_index(index, [1], index.with_name("cut.index"))
    bench_file.write_text(BENCH.replace("trial.index", "cut.index"))
    assert len(get_benchmark(str(bench_file)).table(1)) == 10
    with pytest.raises(UserError, match="cut to the cells of space 1; search there, or take the whole index"):
        get_benchmark(str(bench_file)).table(2)


def test_nb101_refuses_any_other_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    table_of_ten(tmp_path / "nasbench101.index")
    with pytest.raises(UserError, match="official NAS-Bench-101 table only, this one is 'trial'"):
        get_benchmark("nb101").table(1)
    assert isinstance(Table.open(tmp_path / "nasbench101.index"), Table)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "trial"', "", "expected a name"),
        ('name = "trial"', 'name = "a/b"', "expected a name"),
        ('name = "trial"', 'name = "nb101"', "taken by a built-in"),
        ('source = "digits"', 'source = "imagenet"', "source to be cifar10, parquet or digits, got 'imagenet'"),
        ('source = "digits"', 'source = "parquet"', "expected .images. path"),
        ('path = "trial.index"', "", "expected .table. path"),
        ('path = "trial.index"', 'file = "trial.index"', "unknown key in .table.: file"),
        ("[settings]", "[setings]", "unknown key setings"),
        ('name = "trial"', "name = ", "not a TOML file"),
    ],
)
def test_a_mistaken_file_is_refused_in_one_line(old: str, new: str, message: str, bench_file: Path) -> None:
    bench_file.write_text(BENCH.replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        get_benchmark(str(bench_file))
    assert "\n" not in str(caught.value)


def test_an_unknown_name_and_a_missing_file_are_told() -> None:
    with pytest.raises(UserError, match=r"unknown benchmark 'nb102'; known: nb101, digits"):
        get_benchmark("nb102")
    with pytest.raises(UserError, match="no such benchmark file"):
        get_benchmark("missing.toml")
