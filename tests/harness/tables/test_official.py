"""The official API, where it is installed, gives the answers of our index."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

import harness.commands.crosscheck
import harness.tables.comparison
from harness.cli import run_command
from harness.commands.run import main as run
from harness.errors import UserError
from harness.records.run_folder import find_runs
from harness.tables.indexing import build_index
from harness.tables.official import OfficialTable, check_importable, check_source
from harness.tables.query import CellNotInTable, Table
from harness.tables.tfrecord import Record
from spaces.nb101.cell import Cell
from spaces.nb101.space import get_space
from tests.harness.tables.test_query import CELLS, some_cells, some_records, write_records

INSTALLED = all(importlib.util.find_spec(name) for name in ("tensorflow", "nasbench"))
needs_official_api = pytest.mark.skipif(not INSTALLED, reason="needs TensorFlow and nasbench (see environment.yml)")
# TensorFlow itself warns of what it will change.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def records_of(cells: Iterable[Cell], budgets: Iterable[int], repeats: int = 3) -> list[Record]:
    """As `some_records`, but all records of a cell agree on its parameters, of which the API keeps the first."""
    records = some_records(cells, budgets, repeats)
    return [replace(record, trainable_parameters=int(record.hash[:7], 16)) for record in records]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    source = write_records(tmp_path / "small.tfrecord", records_of(CELLS, (4, 108)))
    build_index(source, tmp_path / "small.index")
    return Table.open(tmp_path / "small.index")


@needs_official_api
def test_official_api_answers_as_the_index(table: Table) -> None:
    official = OfficialTable(table)
    for cell in CELLS:
        assert official.query(cell) == table.query(cell)
    with pytest.raises(CellNotInTable, match="not among those of small"):
        official.query(some_cells(20)[-1])


@needs_official_api
def test_official_api_refuses_another_file_than_the_indexed_one(table: Table) -> None:
    source = table.path.with_suffix(".tfrecord")
    write_records(source, records_of(CELLS, (4,)))
    with pytest.raises(UserError, match=r"not the file that small\.index was made from, by its SHA-256"):
        check_source(table)
    source.unlink()
    with pytest.raises(UserError, match=r"put the one that small\.index was made from beside it"):
        check_source(table)
    build_index(write_records(source.with_suffix(".tfrecord.xz"), records_of(CELLS, (108,))), table.path)
    with pytest.raises(UserError, match="reads no compressed file"):
        check_source(Table.open(table.path))


@needs_official_api
@pytest.mark.parametrize("ending", ["", ".xz"])
def test_crosscheck_compares_every_number(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_records(tmp_path / f"small.tfrecord{ending}", records_of(CELLS, (4, 108)))
    assert run_command(lambda: harness.commands.crosscheck.main([str(source)])) == 0
    out = capsys.readouterr().out
    assert "table: small (other), 12 cells, 72 records" in out
    # Two budgets and two moments of three accuracies of three repeats, and four numbers more.
    assert f"answers: {12 * 2 * 2 * 13} numbers of 12 cells compared, 0 differences" in out
    assert "query by hash" in out
    assert "NAS-Bench-101" not in out


@needs_official_api
def test_crosscheck_tells_a_difference(table: Table, tmp_path: Path) -> None:
    other = records_of(CELLS, (4, 108))
    random.Random(0).shuffle(other)
    source = write_records(tmp_path / "other.tfrecord", other)
    _, compared, differences = harness.tables.comparison.official_side(source, table.path, 12, 0)
    assert compared == 12 * 2 * 2 * 13
    assert any("108 epochs, final" in difference for difference in differences)
    source = write_records(tmp_path / "fewer.tfrecord", records_of(CELLS[:5], (4, 108)))
    assert harness.tables.comparison.official_side(source, table.path, 5, 0)[2] == ["the cells are not the same"]


@needs_official_api
@pytest.mark.skipif(
    importlib.util.find_spec("nasbench_analysis") is None, reason="needs nasbench_analysis (see environment.yml)"
)
def test_spaces_equal_the_published_codes() -> None:
    assert harness.tables.comparison.apart(harness.tables.comparison.compare_spaces) == []


@needs_official_api
def test_search_is_the_same_with_either_backend(tmp_path: Path) -> None:
    source = write_records(tmp_path / "trial.tfrecord", records_of(get_space(1).cells(), (12,), 1))
    build_index(source, tmp_path / "trial.index")
    (tmp_path / "trial.toml").write_text(
        'name = "trial"\n[images]\nsource = "digits"\n[table]\npath = "trial.index"\n[settings]\n'
        '"network.channels" = 2\n"network.cells" = 3\n"data.images" = 10\n"data.batch_size" = 5\n"hessian.every" = 0\n'
    )
    lines = {}
    for backend in ("index", "nasbench"):
        arguments = ["--bench", str(tmp_path / "trial.toml"), "--space", "1", "--optimizer", "darts", "--seeds", "1"]
        results = tmp_path / backend
        arguments += ["--epochs", "1", "--results", str(results), "--table-backend", backend]
        assert run(arguments) == 0
        (folder,) = find_runs(results)
        lines[backend] = [{**line, "seconds": None} for line in folder.epochs()]
        assert folder.environment()["starts"][0]["table_backend"] == backend
    assert lines["index"] == lines["nasbench"]


@pytest.mark.skipif(INSTALLED, reason="TensorFlow and nasbench are installed")
def test_what_is_missing_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"needs .*nasbench, which cannot be imported; install both as"):
        check_importable()
    options = ["--bench", "digits", "--space", "1", "--optimizer", "darts", "--seeds", "1", "--results", str(tmp_path)]
    for command in (
        lambda: run([*options, "--table-backend", "nasbench"]),
        lambda: harness.commands.crosscheck.main(["some.tfrecord"]),
    ):
        assert run_command(command) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: the official API needs")
        assert len(err.splitlines()) == 1
