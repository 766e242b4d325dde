"""Reading a study file, and every mistake in one as a line that says where and what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.study.attempts import Rules
from harness.study.entries import Comparison
from harness.study.expansion import expand, requests
from harness.study.file import read_study

STUDIES = Path(__file__).parents[3] / "studies"

SEARCH = """format = 1
name = "small"
bench = "digits"
[[search]]
optimizers = ["sdarts_adv", "sdarts_rs"]
spaces = [1]
seeds = "0,1"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_a_file_says_what_is_run_how_and_how_it_is_compared(tmp_path: Path) -> None:
    text = SEARCH + (
        'epochs = 50\nkeep = [50, 0]\nset = { weights.momentum = 0.5 }\ngrid = { "perturbation.steps" = [1, 7] }\n'
        "[run]\ngpus = 0.5\nretries = 0\nsilent_minutes = 2\nbudget_hours = 40\nworkers = 3\n"
        '[compare]\nbaseline = "darts"\nfamily = "all-pairs"\n'
    )
    study = read_study(written(tmp_path, text))
    (search,) = study.searches
    assert (search.seeds, search.epochs, search.keep, search.line) == ([0, 1], 50, [0, 50], 4)
    assert (search.settings, search.grid) == ({"weights.momentum": "0.5"}, {"perturbation.steps": ["1", "7"]})
    assert (study.run.gpus, study.run.workers, study.run.rules) == (0.5, 3, Rules(0, 2.0, 40.0))
    assert study.compare == Comparison("darts", "final_error", "all-pairs")


@pytest.mark.parametrize(("name", "tasks"), [("paper", 126), ("nb201-small", 78), ("digits", 252)])
def test_the_studies_that_are_shipped_are_valid(name: str, tasks: int) -> None:
    study = read_study(STUDIES / f"{name}.toml")
    assert study.name == name
    assert sum(len(asked.request.seeds) for asked in requests(study, Path("results"))) == tasks
    assert study.compare == Comparison("darts", "final_error", "baseline")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = \n", r"not a TOML file: .*line 1"),
        ("format = 2\n", r"toml:1: expected format = 1, got 2"),
        ('format = 1\nname = "x"\n', r"expected \[\[search\]\] or \[\[table\]\]"),
        (SEARCH + "epoch = 3\n", r"toml:8: \[\[search\]\] 1: unknown key 'epoch'; did you mean epochs\?"),
        (SEARCH + "[runs]\n", r"toml:\d: unknown key 'runs'; did you mean run\?"),
        (SEARCH + "[run]\nretry = 3\n", r"toml:9: \[run\] unknown key 'retry'; did you mean retries\?"),
        (SEARCH.replace('"small"', '"../up"'), r"toml:2: name: expected letters .* got '../up'"),
        (SEARCH.replace('"small"', '".small"'), r"name: expected letters"),
        (SEARCH.replace('"small"', '"a..b"'), r"name: expected letters"),
        (SEARCH + 'name = "a/b"\n', r"toml:8: \[\[search\]\] 1: name: expected letters"),
        (SEARCH.replace('"0,1"', "-1"), r"toml:7: .*seeds: expected"),
        (SEARCH.replace('"0,1"', "0"), r"seeds: expected .* at least one seed"),
        (SEARCH.replace('"0,1"', "true"), r"seeds: expected"),
        (SEARCH.replace("[1]", "[]"), r"toml:6: .*spaces: expected a list of one or more"),
        (SEARCH.replace('"0,1"', "100000"), r"at most 100,000 tasks, got 200,000"),
        (SEARCH + 'skip = [{ optimiser = "darts" }]\n', r"skip: unknown key 'optimiser'; did you mean optimizer"),
        (SEARCH + "grid = { weights.momentum = [0.9, 0.90] }\n", r"grid: weights.momentum: expected each value once"),
        (SEARCH + "rungs = [11]\n", r"rungs: expected a grid of variants"),
        (SEARCH + "[run]\ngpus = 0.3\n", r"gpus: 0.3 lets 3 tasks share a GPU, not 4"),
        (SEARCH + "[run]\ngpus = 1.5\n", r"toml:9: \[run\] gpus: expected a share of one GPU or a whole number"),
        (SEARCH + '[compare]\nfamily = "all"\n', r"toml:9: \[compare\] family: expected one of against-baseline, all"),
        (SEARCH + "[[search]]\nspaces = [true]\n", r"toml:9: \[\[search\]\] 2: spaces: expected numbers"),
    ],
)
def test_a_mistake_is_a_line_with_where_and_what(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read_study(written(tmp_path, text))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SEARCH.replace("sdarts_rs", "sdart_rs"),
            r"toml:4: \[\[search\]\] 1: unknown optimizer 'sdart_rs'; did",
        ),
        (SEARCH.replace("[1]", "[9]"), r"\[\[search\]\] 1: .*space"),
        (
            SEARCH + 'set = { "perturbation.epsilon_max" = 1 }\n',
            r"epsilon_max'; did you mean .*epsilon_end",
        ),
        (SEARCH + 'set = { "perturbation.steps" = -1 }\n', r"\[\[search\]\] 1: perturbation.steps: expected .* from 0"),
        (SEARCH + 'skip = [{ optimizer = "darts" }]\n', r"skip: \{'optimizer': 'darts'\} skips nothing"),
        (SEARCH + "skip = [{ space = 1 }]\n", r"expected a search, but skip leaves none"),
        (
            SEARCH + '[[search]]\noptimizers = ["sdarts_rs"]\nspaces = [1]\nseeds = 1\nepochs = 7\n',
            r"toml:8: \[\[search\]\] 2: means the folder digits/space1/sdarts_rs/seed0, as \[\[search\]\] 1 in line 4",
        ),
    ],
)
def test_a_mistake_that_planning_finds_names_the_entry(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        expand(read_study(written(tmp_path, text)), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_folders_are_those_of_harness_run_and_variants_are_named_after_their_values(tmp_path: Path) -> None:
    text = SEARCH + (
        'grid = { "perturbation.epsilon_end" = [0.1, 0.30], "perturbation.steps" = [1, 7] }\n'
        'skip = [{ optimizer = "sdarts_rs", "perturbation.steps" = 7 }, { seed = 1 }]\n'
        '[[search]]\noptimizers = ["r_darts_dp"]\nspaces = [1]\nseeds = 1\n'
        'grid = { "drop_path.probability" = [0, 0.2] }\n'
        '[[search]]\noptimizers = ["darts"]\nspaces = [1]\nseeds = 1\nset = { "weights.momentum" = 0.5 }\n'
    )
    tasks = expand(read_study(written(tmp_path, text)), tmp_path / "results").tasks
    names = [task.key.removeprefix("digits/space1/").removesuffix("/seed0") for task in tasks]
    assert names[:-1] == [
        "sdarts_adv@epsilon_end-0.1_steps-1",
        "sdarts_adv@epsilon_end-0.1_steps-7",
        "sdarts_adv@epsilon_end-0.3_steps-1",
        "sdarts_adv@epsilon_end-0.3_steps-7",
        "sdarts_rs@epsilon_end-0.1_steps-1",
        "sdarts_rs@epsilon_end-0.3_steps-1",
        "r_darts_dp@0",
        "r_darts_dp@0.2",
    ]
    assert names[-1].startswith("darts@")
    assert all(task.path == tmp_path / "results" / task.key for task in tasks)


def test_a_folder_that_holds_another_run_is_refused_with_the_first_difference(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, SEARCH + "epochs = 3\n"))
    task = expand(study, tmp_path / "results").tasks[0]
    task.path.mkdir(parents=True)
    record = {**task.content["record"], "epochs": 2}
    (task.path / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"sdarts_adv/seed0: holds a run with epochs = 2, asked for is 3"):
        expand(study, tmp_path / "results")
