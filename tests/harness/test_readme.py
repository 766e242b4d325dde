"""README's numbers are those of the published records, and its paths are there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import pytest

from harness.commands import compare
from harness.records.run_folder import Line, find_runs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
WORDS = " ".join(README.split())
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


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


@pytest.mark.parametrize(("space", "beyond"), [(1, {"hessian_reg"}), (2, {"hessian_reg", "random_ws"})])
def test_what_random_search_would_find_is_the_records_and_who_ends_below_it(space: int, beyond: set[str]) -> None:
    folder = ROOT / "results/published/paper/digits" / f"space{space}"
    runs = find_runs(folder)
    found = 100 * runs[0].config()["table"]["random_search"]["test_error"][99]
    assert f"({found:.2f} %)" in WORDS
    methods = {run.config()["optimizer"] for run in runs}
    ends = {
        name: 100 * mean(float(seed[100]["test_error"]) for seed in lines("paper", space, name)) for name in methods
    }
    assert {name for name, error in ends.items() if error < found} == beyond


def test_both_perturbations_end_flatter_and_all_lose_about_half_or_more() -> None:
    courses = {name: lines("demo", 1, name) for name in ("darts", "sdarts_rs", "sdarts_adv")}
    ends = {name: mean(seed[100]["spectral_norm"] for seed in seeds) for name, seeds in courses.items()}
    peaks = {name: mean(seed[10]["spectral_norm"] for seed in seeds) for name, seeds in courses.items()}
    assert max(ends["sdarts_rs"], ends["sdarts_adv"]) < ends["darts"]
    assert all(ends[name] < 0.55 * peaks[name] for name in courses)


def test_the_significance_that_readme_names_is_that_of_its_table() -> None:
    (row,) = [line for line in README.splitlines() if line.startswith("sdarts_adv - darts")]
    assert f"p = {float(row.split()[8]):.2f}".replace("0.", ".") in WORDS


def test_the_opening_picture_shows_what_its_words_say() -> None:
    """From the second fifth of the search to the last; the study goes on, so that seeds are added."""
    runs = {
        name: [run.epochs() for run in find_runs(ROOT / "results/published/nb201-small/nb201-small/nb201" / name)]
        for name in ("darts", "sdarts_rs", "sdarts_adv")
    }
    early, late = (
        {
            entry: mean(line[entry] for seed in runs["darts"] for line in seed[first:last])
            for entry in ("supernet_valid_accuracy", "test_error")
        }
        for first, last in ((11, 21), (41, 51))
    )
    assert late["supernet_valid_accuracy"] > early["supernet_valid_accuracy"]
    assert late["test_error"] > early["test_error"]
    sharpness = {name: mean(seed[50]["spectral_norm"] for seed in seeds) for name, seeds in runs.items()}
    assert sharpness["darts"] > 5 * max(sharpness["sdarts_rs"], sharpness["sdarts_adv"])
    worst = sorted(round(100 * seed[50]["test_error"], 1) for seed in runs["darts"])[-2:]
    assert worst == [29.5, 45.7]
    assert all(seed[50]["test_error"] < 0.2 for name in ("sdarts_rs", "sdarts_adv") for seed in runs[name])


def test_of_the_papers_claims_the_records_can_tell_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main([str(ROOT / "results/published/paper"), "--claims", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("CANNOT TELL AT N = 2") == 6


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/protocol.md"])
def test_that_there_is_no_nb101_result_is_said_while_there_is_none(name: str) -> None:
    recorded = [run for run in find_runs(ROOT / "results/published") if run.config()["bench"] == "nb101"]
    said = re.search(r"[Nn]o (result on )?`nb101`[^.]*exists yet", (ROOT / name).read_text())
    assert bool(said) == (not recorded)


def test_the_first_screen_has_the_two_commands_the_picture_and_the_five_reasons() -> None:
    screen = README.partition("## Install")[0]
    assert [line.split()[1] for line in screen.splitlines() if line.startswith("    make ")] == ["demo", "test"]
    assert "![Supernet against stand-alone accuracy]" in screen
    assert len(re.findall(r"^- \*\*", screen, re.MULTILINE)) == 5
    assert "no `nb101` result exists yet" in screen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
