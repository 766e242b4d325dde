"""Findings as files: a row for each method and measure, a row for each test, and everything as JSON.

Errors are fractions; a cell, or a JSON value, without a number is empty, or null.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

from harness.records.files import write_atomically
from plots.judgement.findings import Judgement
from plots.judgement.measures import MEASURES
from plots.runs.spreadsheet import Rows

FORMAT = 1


def write(judgement: Judgement, folder: Path) -> list[Path]:
    """Write the three files and give their paths.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in (
        ("measures.csv", measures_csv(judgement)),
        ("tests.csv", tests_csv(judgement)),
        ("judgement.json", json_text(judgement)),
    ):
        write_atomically(folder / name, text.encode())
        written.append(folder / name)
    return written


def measures_csv(judgement: Judgement) -> str:
    """A row for each method and measure of each comparison; then one column for each seed."""
    seeds = sorted({seed for block in judgement.blocks for method in block.methods for seed in method.seeds})
    columns = ["bench", "space", "table", "table_sha256", "scale", "method", "epochs", "measure", "n", "mean"]
    columns += ["t_low", "t_high", "deviation", "median", "lowest", "highest"]
    columns += ["interquartile_mean", "bootstrap_low", "bootstrap_high", "approximate"]
    rows: list[list[object]] = [[*columns, *(f"seed{seed}" for seed in seeds)]]
    for block in judgement.blocks:
        where = [block.bench, block.space, block.table, block.table_sha256, block.scale]
        for method in block.methods:
            for name, one in method.measures.items():
                mean, middle = one.mean, one.interquartile_mean
                row: list[object] = [*where, method.name, method.epochs, name, one.n]
                row += [mean.value, mean.low, mean.high, one.deviation, one.median, one.low, one.high]
                row += [middle.value, middle.low, middle.high, one.approximate]
                row += [one.by_seed.get(seed, math.nan) for seed in seeds]
                rows.append(row)
    return _csv(rows)


def tests_csv(judgement: Judgement) -> str:
    """A row for each test of each comparison's family."""
    columns = ["bench", "space", "table", "table_sha256", "scale", "measure", "family", "tests_in_family"]
    columns += ["first", "second", "first_n", "second_n", "difference", "cliffs_delta", "delta_low", "delta_high"]
    rows: list[list[object]] = [[*columns, "u", "p", "exact", "holm_p", "significant"]]
    for block in judgement.blocks:
        family = block.family
        where = [block.bench, block.space, block.table, block.table_sha256, block.scale]
        for test in family.tests:
            row: list[object] = [
                *where,
                family.metric,
                family.kind,
                len(family.tests),
                test.first,
                test.second,
                *test.n,
            ]
            row += [test.difference, test.delta.value, test.delta.low, test.delta.high]
            row += [test.u, test.p, test.exact, test.holm_p, test.significant]
            rows.append(row)
    return _csv(rows)


def json_text(judgement: Judgement) -> str:
    """Everything, with the value of each seed and what each measure means."""
    meanings = {name: measure.meaning for name, measure in MEASURES.items()}
    content = {"format": FORMAT, "measures": meanings, **plain(dataclasses.asdict(judgement))}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """What JSON can carry: no NaN or infinity, text for paths and keys."""
    if isinstance(value, dict):
        return {str(key): plain(its) for key, its in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def _csv(rows: list[list[object]]) -> str:
    text = io.StringIO()
    writer = Rows(text)
    for row in rows:
        writer.writerow(["" if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in row])
    return text.getvalue()
