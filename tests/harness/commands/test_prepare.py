"""`python -m harness.prepare` gets what is missing, and only that."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import harness.tables.open
from harness.cli import run_command
from harness.commands.prepare import main
from harness.data import registry
from harness.data.folder import data_folder
from harness.data.registry import get_dataset
from harness.errors import UserError
from harness.tables.header import OFFICIAL_FILES
from harness.tables.open import OFFICIAL_URL, open_table
from harness.tables.query import Table
from harness.tables.tfrecord import content_sha256
from tests.harness.data.test_download import Server, running_server
from tests.harness.tables.test_query import CELLS, some_records, write_records


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_records(tmp_path / "small.tfrecord", some_records(CELLS))


@pytest.fixture
def server(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    with running_server() as state:
        state.content = source.read_bytes()
        yield state


@pytest.fixture
def official(source: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address whose file counts as official."""
    sha256 = content_sha256(source)
    monkeypatch.setitem(OFFICIAL_FILES, sha256, "table.tfrecord")
    monkeypatch.setitem(harness.tables.open._KNOWN_SHA256, server.url, sha256)
    return server.url


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("HARNESS_DATA", str(folder))
    return folder


def run(*arguments: str | Path) -> int:
    return run_command(lambda: main([str(argument) for argument in arguments]))


def test_data_folder_is_the_variable_or_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", "/some/where")
    assert data_folder() == Path("/some/where")
    monkeypatch.delenv("HARNESS_DATA")
    assert data_folder() == Path("data")


def test_file_becomes_an_index_named_like_it(source: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--nasbench", source) == 0
    index = data / "small.index"
    assert len(Table.open(index)) == len(CELLS)
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        f"{index}: small (other), 12 cells, 3 repeats at 108 epochs, SHA-256 of small.tfrecord {content_sha256(source)}"
    ]


def test_second_run_builds_nothing_unless_forced(source: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--nasbench", source)
    index = data / "small.index"
    made = index.stat().st_ino
    assert run("--nasbench", source) == 0
    assert index.stat().st_ino == made
    assert "made before" in capsys.readouterr().out
    assert run("--nasbench", source, "--force") == 0
    assert "made before" not in capsys.readouterr().out
    made = index.stat().st_ino
    write_records(source, some_records(CELLS[:5]))
    assert run("--nasbench", source) == 0
    assert len(Table.open(index)) == 5


def test_new_label_or_damaged_index_is_built_again(source: Path, data: Path) -> None:
    run("--nasbench", source)
    assert run("--nasbench", source, "--label", "mine") == 0
    index = data / "small.index"
    assert Table.open(index).info.label == "mine"
    content = index.read_bytes()
    index.unlink()
    index.write_bytes(content[:100])
    assert run("--nasbench", source, "--label", "mine") == 0
    assert Table.open(index).info.label == "mine"


def test_cells_of_a_space_are_cut_out_of_an_index(source: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--nasbench", source)
    capsys.readouterr()
    assert run("--cut", data / "small.index", "--space", "1") == 0
    cut = data / "small_space1.index"
    assert capsys.readouterr().out.startswith(f"{cut}: small (other), 12 cells of space 1, 3 repeats at 108 epochs")
    made = cut.stat().st_ino
    assert run("--cut", data / "small.index", "--space", "1") == 0
    assert "made before" in capsys.readouterr().out
    assert cut.stat().st_ino == made
    assert run("--nasbench", source, "--out", cut) == 0
    assert Table.open(cut).info.spaces == ()


def older(index: Path) -> None:
    """Turn an index into one of format 1, as its frame tells it."""
    content = index.read_bytes()
    index.unlink()
    index.write_bytes(content[:8] + struct.pack("<I", 1) + content[12:])


def test_index_of_an_older_format_is_made_anew_with_one_line_where_its_source_lies_beside_it(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = source.with_suffix(".index")
    run("--nasbench", source, "--out", index, "--label", "mine")
    before = index.read_bytes()
    older(index)
    capsys.readouterr()
    assert open_table(index).info.label == "mine"
    assert capsys.readouterr().err == f"{index}: was of an older format, made anew from {source}\n"
    assert index.read_bytes() == before

    older(index)
    write_records(source, some_records(CELLS[:5]))
    with pytest.raises(UserError, match="format 1, this program reads format 2; make it anew with"):
        open_table(index)
    assert run("--nasbench", source, "--out", index) == 0
    assert len(open_table(index)) == 5


def test_out_and_folder_say_where_things_go(source: Path, tmp_path: Path) -> None:
    assert run("--nasbench", source, "--out", tmp_path / "there" / "my.index") == 0
    assert run("--nasbench", source, "--folder", tmp_path / "elsewhere") == 0
    assert Table.open(tmp_path / "there" / "my.index").info == Table.open(tmp_path / "elsewhere" / "small.index").info


def test_address_is_downloaded_once(server: Server, data: Path) -> None:
    assert run("--nasbench", server.url) == 0
    assert len(Table.open(data / "table.index")) == len(CELLS)
    assert run("--nasbench", server.url, "--force") == 0
    assert len(server.requests) == 1


def test_official_table_needs_neither_download_nor_file_again(official: str, server: Server, data: Path) -> None:
    assert run("--nasbench", official) == 0
    assert Table.open(data / "nasbench101.index").info.is_official
    (data / "table.tfrecord").unlink()
    assert run("--nasbench", official) == 0
    assert len(server.requests) == 1


def test_wrong_file_at_the_official_address_is_refused(
    official: str, server: Server, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.content = server.content[:-16]
    assert run("--nasbench", official) == 2
    assert "expected" in capsys.readouterr().err
    assert list(data.iterdir()) == []


def test_damaged_file_of_the_official_name_is_fetched_anew(official: str, server: Server, data: Path) -> None:
    data.mkdir()
    (data / "table.tfrecord").write_bytes(server.content[:1000])
    assert run("--nasbench", official) == 0
    assert Table.open(data / "nasbench101.index").info.is_official


def test_file_with_an_official_name_only_is_marked_and_warned_about(
    source: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posing = source.rename(source.with_name("nasbench_only108.tfrecord"))
    assert run("--nasbench", posing) == 0
    assert "not the official file by its SHA-256" in capsys.readouterr().err
    assert not Table.open(data / "nasbench_only108.index").info.is_official
    posing = posing.rename(source.with_name("nasbench101.tfrecord"))
    assert run("--nasbench", posing, "--label", "mine") == 2
    assert not (data / "nasbench101.index").exists()


def test_without_arguments_table_and_images_are_got(
    official: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    got: list[Path] = []
    monkeypatch.setattr("harness.commands.prepare.OFFICIAL_URL", official)
    monkeypatch.setitem(registry._datasets, "cifar10", replace(get_dataset("cifar10"), download=got.append))
    assert run() == 0
    assert got == [data]
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{data / 'nasbench101.index'}: NAS-Bench-101 (official)")
    assert second == f"{data}: CIFAR-10, 50,000 training and 10,000 test images"
    assert run("--cifar10") == 0
    assert got == [data, data]
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_data_sets_are_downloaded_by_name_and_nothing_else_is(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    got: list[tuple[str, Path]] = []

    def downloading(name: str) -> Callable[[Path], None]:
        return lambda folder: got.append((name, folder))

    for name in ("svhn", "fashion"):
        monkeypatch.setitem(registry._datasets, name, replace(get_dataset(name), download=downloading(name)))
    assert run("--data", "svhn", "fashion", "digits", "--folder", data / "other") == 0
    assert got == [("svhn", data / "other"), ("fashion", data / "other")]
    assert [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"{data / 'other'}:",
        f"{data / 'other'}:",
        "digits:",
    ]


def test_the_names_of_data_sets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", "list") == 0
    assert capsys.readouterr().out.splitlines()[0].split(maxsplit=1) == [
        "cifar10",
        "CIFAR-10, 50,000 training and 10,000 test images",
    ]


def test_default_address_has_a_known_checksum() -> None:
    assert harness.tables.open._KNOWN_SHA256[OFFICIAL_URL].startswith("4c39c393")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--nasbench", "missing.tfrecord"], "missing.tfrecord: no such file"),
        (["--nasbench", "http://127.0.0.1/"], "ends in the name of a file"),
        (["--nasbnch", "x"], "unrecognized arguments"),
        (["--cifar10", "--label", "x"], "give --nasbench too"),
        (["--data", "svhn", "--out", "x"], "give --nasbench too"),
        (["--data", "svnh"], "unknown data set 'svnh'; did you mean svhn?"),
        (["--data", "some/folder"], "--folder names the data folder"),
        (["--data", "svhn", "--cut", "some.index"], "--cut takes --space, --out and --force only"),
        (["--space", "1"], "give --cut INDEX too"),
        (["--cut", "some.index", "--label", "x"], "--cut takes --space, --out and --force only"),
        (["--cut", "missing.index"], "missing.index: no such index"),
    ],
)
def test_wrong_argument_is_one_line_and_status_2(
    arguments: list[str], reason: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert reason in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("damage", ["empty", "truncated", "bit flipped", "not a table"])
def test_damaged_table_is_one_line_and_status_2(
    damage: str, source: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 4
    source.write_bytes(
        {
            "empty": b"",
            "truncated": source.read_bytes()[:-5],
            "bit flipped": bytes(content),
            "not a table": b"hello",
        }[damage]
    )
    assert run("--nasbench", source) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {source}: ")
    assert "record " in lines[0]
    assert "byte " in lines[0]
    assert not (data / "small.index").exists()
