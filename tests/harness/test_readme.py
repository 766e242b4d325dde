"""README's numbers are those of the published records, and its paths are there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import pytest

from harness.records.run_folder import Line, find_runs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
WORDS = " ".join(README.split())
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@cache
def lines(records: str, space: int, optimizer: str) -> list[list[Line]]:
    """The epochs of each seed of a method in a folder of published records."""
    return [
        run.epochs() for run in find_runs(ROOT / "results/published" / records / f"digits/space{space}/{optimizer}")
    ]


def cells(start: str) -> list[str]:
    """The cells of README's one row whose first cell starts so, that one aside."""
    (row,) = [line for line in README.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def two_places(number: float) -> str:
    """A number as README's tables write it."""
    return f"{number:.2f}".removeprefix("0")


@pytest.mark.parametrize(("row", "epoch"), [("spectral norm", 0), ("after 10 epochs", 10), ("after 100 epochs", 100)])
def test_curvatures_are_the_records(row: str, epoch: int) -> None:
    methods = ("darts", "sdarts_rs", "sdarts_adv")
    recorded = [mean(seed[epoch]["spectral_norm"] for seed in lines("demo", 1, name)) for name in methods]
    assert cells(row) == [two_places(value) for value in recorded]


def test_the_curvature_is_highest_where_readme_says() -> None:
    for name in ("darts", "sdarts_rs", "sdarts_adv"):
        course = [
            mean(values) if None not in values else 0.0
            for values in zip(
                *([line["spectral_norm"] for line in seed] for seed in lines("demo", 1, name)), strict=True
            )
        ]
        assert course.index(max(course)) == 10


def test_errors_are_the_records() -> None:
    recorded = []
    for name in ("darts", "sdarts_rs", "sdarts_adv"):
        errors = [100 * seed[100]["test_error"] for seed in lines("demo", 1, name)]
        recorded.append(f"{mean(errors):.2f} % ({two_places(stdev(errors))})")
    assert cells("test error after 100") == recorded


@pytest.mark.parametrize(
    ("sentence", "optimizer"),
    [
        ("DARTS, seed 1, ended at {:.2f} % as recorded and ends at {:.2f} % now", "darts"),
        ("SDARTS-RS, seed 1, at {:.2f} and {:.2f} %", "sdarts_rs"),
        ("SDARTS-ADV, seed 1, at {:.2f} and {:.2f} %", "sdarts_adv"),
    ],
)
def test_one_seeds_ends_on_both_paths_are_the_records(sentence: str, optimizer: str) -> None:
    ends = [100 * lines(records, 1, optimizer)[1][100]["test_error"] for records in ("demo", "paper")]
    assert sentence.format(*ends) in WORDS


def test_what_contradicts_the_paper_is_said() -> None:
    def end(space: int, optimizer: str) -> float:
        return 100 * mean(float(seed[100]["test_error"]) for seed in lines("paper", space, optimizer))

    adversarial, random, plain = (end(2, name) for name in ("sdarts_adv", "sdarts_rs", "darts"))
    assert f"SDARTS-ADV ends at {adversarial:.2f} % and SDARTS-RS at {random:.2f} %, DARTS at {plain:.2f} %" in WORDS
    assert f"at {end(1, 'hessian_reg'):.2f} and {end(2, 'hessian_reg'):.2f} %" in WORDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
