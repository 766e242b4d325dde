from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.benchmarks.registry import Benchmark, get_benchmark
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
        for cell in get_space(1).cells()[:10]
    ]
    write_tfrecord(index.with_suffix(".tfrecord"), map(encode_record, records))
    build_index(index.with_suffix(".tfrecord"), index, label="trial")


def test_a_file_describes_a_benchmark(bench_file: Path) -> None:
    bench = get_benchmark(str(bench_file))
    assert bench.name == "trial"
    assert bench.images().name == "digits"
    assert len(bench.table(1)) == 10
    assert bench.scale == {"network.channels": 2, "data.images": 50}


@pytest.mark.parametrize("space", [1, 2])
def test_digits_has_every_cell_of_a_space_in_its_table(space: int) -> None:
    table = get_benchmark("digits").table(space)
    assert table.info.label == "digits"
    assert not table.info.is_official
    assert set(table.hashes()) == {cell.hash for cell in get_space(space).cells()}


def test_digits_says_what_to_do_for_a_space_without_a_table() -> None:
    complaint = r"digits has no table of space 3, only of space 1, 2; use one of these with --space.*harness\.tabulate"
    with pytest.raises(UserError, match=complaint):
        get_benchmark("digits").table(3)
    with pytest.raises(UserError, match=r"no table of space toy, only of space 1, 2; .*--judge train or none"):
        get_benchmark("digits").table("toy")


def test_the_data_sets_own_augmentation_holds_where_a_benchmark_says_nothing(bench_file: Path) -> None:
    assert get_benchmark("nb101").settings == {"data.padding": 4, "data.flip": True}
    digits = get_benchmark("digits").settings
    assert (digits["data.padding"], digits["data.flip"]) == (1, False)
    assert get_benchmark(str(bench_file)).settings["data.padding"] == 1
    bench_file.write_text(BENCH + "padding = 3\n")
    settings = get_benchmark(str(bench_file)).settings
    assert (settings["data.padding"], settings["data.flip"]) == (3, False)


def test_a_benchmark_without_a_table_is_judged_by_nothing(bench_file: Path) -> None:
    bench_file.write_text(BENCH.replace('[table]\npath = "trial.index"\n', ""))
    bench = get_benchmark(str(bench_file))
    assert bench.judge_in(1) == bench.judge_in("toy") == "none"
    with pytest.raises(UserError, match=r"trial has no table; .*--judge train.*--judge none.*\[table\] path"):
        bench.table(1)


def test_the_judge_section_is_the_long_form_of_the_table_section(bench_file: Path) -> None:
    bench_file.write_text(BENCH.replace("[table]", '[judge]\nkind = "table"'))
    bench = get_benchmark(str(bench_file))
    assert bench.judge_in(1) == "table"
    assert len(bench.table(3)) == 10


SPACES = """
[judge]
kind = "train"
recipe = { epochs = 3 }
[spaces.1]
table = "trial.index"
judge = "table"
[spaces.1.settings]
network.channels = 6
[spaces.toy.settings]
"data.padding" = 0
"""


def test_one_space_can_have_a_table_a_judge_and_settings_of_its_own(bench_file: Path) -> None:
    bench_file.write_text(BENCH.replace('[table]\npath = "trial.index"\n', "") + SPACES)
    bench = get_benchmark(str(bench_file))
    assert [bench.judge_in(space) for space in (1, 2, "toy")] == ["table", "train", "train"]
    assert bench.recipe == {"epochs": 3}
    assert len(bench.table(1)) == 10
    with pytest.raises(UserError, match="trial has no table of space 2, only of space 1; "):
        bench.table(2)
    assert bench.settings["network.channels"] == 2
    assert [bench.settings_in(space)["network.channels"] for space in (1, 2, "toy")] == [6, 2, 2]
    assert [bench.settings_in(space)["data.padding"] for space in (1, 2, "toy")] == [1, 1, 0]


class Judges:
    """Stands for the judges, and says what a benchmark asks of them."""

    @dataclass(frozen=True)
    class TrainRecipe:
        epochs: int = 12

    @dataclass(frozen=True)
    class JudgeOptions:
        recipe: object
        table_kind: object = None
        every: int = 10

    @staticmethod
    def get_judge(kind: str, benchmark: Benchmark, space: object, options: object) -> object:
        return kind, benchmark.name, space, options


@dataclass(frozen=True)
class Labelled:
    label: int | str


def test_the_judge_of_a_search_is_the_spaces_the_benchmarks_or_the_one_asked_for(
    bench_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("registry", "recipe"):
        monkeypatch.setitem(sys.modules, f"harness.judges.{module}", Judges)
    bench_file.write_text(BENCH.replace('[table]\npath = "trial.index"\n', "") + SPACES)
    bench, recipe = get_benchmark(str(bench_file)), Judges.JudgeOptions(Judges.TrainRecipe(3))
    judges: list[object] = [
        bench.judge(Labelled(1)),
        bench.judge(Labelled("toy")),
        bench.judge(Labelled(1), "none"),
        bench.judge(Labelled(1), every=2),
    ]
    assert judges == [
        ("table", "trial", Labelled(1), recipe),
        ("train", "trial", Labelled("toy"), recipe),
        ("none", "trial", Labelled(1), recipe),
        ("table", "trial", Labelled(1), Judges.JudgeOptions(Judges.TrainRecipe(3), every=2)),
    ]
    content = bench_file.read_text()
    bench_file.write_text(content.replace("epochs = 3", 'epochs = "3"'))
    with pytest.raises(UserError, match=r"expected \[judge\.recipe\] epochs to be a number, true or false, got '3'"):
        get_benchmark(str(bench_file)).judge(Labelled(1))
    bench_file.write_text(content.replace("epochs = 3", "epoch = 3"))
    with pytest.raises(UserError, match=r"trial\.toml: unknown key in \[judge\.recipe\]: epoch; known: epochs"):
        get_benchmark(str(bench_file)).judge(Labelled(1))


def test_images_are_like_the_data_set_that_the_file_or_the_folder_names(tmp_path: Path) -> None:
    file = tmp_path / "trial.toml"
    images = 'name = "trial"\n[images]\nsource = "parquet"\npath = "images"\n'
    file.write_text(images)
    assert get_benchmark(str(file)).source.described_by().name == "parquet"
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "cifar10_train.parquet").write_bytes(b"")
    assert get_benchmark(str(file)).source.described_by().name == "cifar10"
    file.write_text(f'{images}like = "digits"\n')
    assert get_benchmark(str(file)).settings == {"data.padding": 1, "data.flip": False}


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
        (
            'source = "digits"',
            'source = "imagenet"',
            r"toml: .images. source: unknown data set 'imagenet'; known: cif",
        ),
        ('source = "digits"', 'source = "parquet"', "expected .images. path"),
        ('path = "trial.index"', "", "expected .table. path"),
        ('path = "trial.index"', 'file = "trial.index"', "unknown key in .table.: file"),
        ("[settings]", "[setings]", "unknown key setings"),
        ('source = "digits"', "", "expected .images. source, the name of a data set"),
        ('source = "digits"', 'source = ["digits"]', "expected .images. source to be text, got"),
        ('source = "digits"', 'source = "folder"', "expected .images. path, the folder that folder reads"),
        (
            'source = "digits"',
            'source = "digits"\nlike = "digit"',
            "like: unknown data set 'digit'; did you mean",
        ),
        ("[table]", "[spaces.1]\ntabel = 3\n[table]", r"unknown key in .spaces\.1.: tabel"),
        ("[table]", "[spaces]\n1 = 3\n[table]", r"expected .spaces\.1. to be a section, got 3"),
        ("[table]", '[judge]\nkind = "tables"\n[table]', "expected .judge. kind to be one of table, train, none"),
        ("[table]", '[spaces.1]\njudge = "x"\n[table]', r"expected .spaces\.1. judge to be one of table, train, none"),
        ("[table]", '[judge]\npath = "x.index"\n[table]', "expected one of .table. path and .judge. path, got both"),
        ('[table]\npath = "trial.index"', '[judge]\nkind = "table"', "expected .table. path"),
        ('name = "trial"', "name = ", "not a TOML file"),
    ],
)
def test_a_mistaken_file_is_refused_in_one_line(old: str, new: str, message: str, bench_file: Path) -> None:
    bench_file.write_text(BENCH.replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        get_benchmark(str(bench_file))
    assert "\n" not in str(caught.value)


def test_an_unknown_name_and_a_missing_file_are_told() -> None:
    with pytest.raises(UserError, match=r"unknown benchmark 'cifar'; known: nb101, digits"):
        get_benchmark("cifar")
    with pytest.raises(UserError, match=r"unknown benchmark 'digit'; did you mean digits\?"):
        get_benchmark("digit")
    with pytest.raises(UserError, match="no such benchmark file"):
        get_benchmark("missing.toml")
