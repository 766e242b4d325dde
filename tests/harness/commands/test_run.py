from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cli import run_command
from harness.commands import choose, run
from harness.errors import UserError
from harness.launch.request import parse_seeds
from harness.records.run_folder import RunFolder
from tests.support.run_lines import without_checksums

ROOT = Path(__file__).parents[3]

TINY = [
    *("--bench", "digits", "--space", "1", "--epochs", "2", "--name", "tiny"),
    *("--set", "network.channels=2", "--set", "data.images=20", "--set", "data.batch_size=10"),
    *("--set", "hessian.every=0"),
]


def command(results: Path, *arguments: str) -> list[str]:
    return [*TINY, "--results", str(results), *arguments]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with seeds 0 and 1 of DARTS."""
    results = tmp_path_factory.mktemp("results")
    assert run.main(command(results, "--optimizer", "darts", "--seeds", "2")) == 0
    return results


def seed_folder(results: Path, seed: int, method: str = "darts@tiny") -> Path:
    return results / "digits" / "space1" / method / f"seed{seed}"


def test_seeds_are_recorded_where_the_contract_says(finished: Path) -> None:
    for seed in (0, 1):
        folder = seed_folder(finished, seed)
        assert {path.name for path in folder.iterdir()} >= {"config.json", "env.json", "epochs.jsonl", "checkpoint.pt"}
        config = RunFolder(folder).config()
        assert (config["optimizer"], config["name"], config["seed"], config["epochs"]) == ("darts", "tiny", seed, 2)
        assert config["scale"] == "2 channels, 3 cells, 20+20 images"
        assert config["settings"]["network"]["channels"] == 2
        assert config["table"]["label"] == "digits"
        assert config["table"]["optimum"]["test_error"] == pytest.approx(0.0212172)
        assert len(config["table"]["random_search"]["test_error"]) == 2
        assert RunFolder(folder).environment()["starts"][0]["torch"]
        lines = RunFolder(folder).epochs()
        assert [line["epoch"] for line in lines] == [0, 1, 2]
        contract = {
            *("epoch", "cell", "matrix", "ops", "test_error", "valid_error", "supernet_valid_accuracy"),
            *("supernet_valid_loss", "lambda_max", "lambda_min", "spectral_norm", "trace", "alphas", "seconds"),
        }
        assert all(contract <= line.keys() for line in lines)


def test_finished_seeds_are_skipped_and_new_ones_run(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (seed_folder(finished, 1) / "epochs.jsonl").read_bytes()
    assert run.main(command(finished, "--optimizer", "darts", "--seeds", "1,4")) == 0
    out = capsys.readouterr().out
    assert "seed 1: finished before (2 epochs), skipped" in out
    assert "seed 4: new, 2 epochs" in out
    assert "seed 4: epoch 2, cell " in out
    assert str(seed_folder(finished, 4)) in out
    assert (seed_folder(finished, 1) / "epochs.jsonl").read_bytes() == before


def test_a_run_that_recorded_no_optimum_is_the_same_run(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(seed_folder(finished, 0), seed_folder(tmp_path, 0))
    path = seed_folder(tmp_path, 0) / "config.json"
    config = json.loads(path.read_text())
    config["table"] = {key: config["table"][key] for key in ("label", "kind", "sha256")}
    path.write_text(json.dumps(config))
    assert run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1")) == 0
    assert "seed 0: finished before (2 epochs), skipped" in capsys.readouterr().out


def test_a_seed_is_the_run_it_would_be_alone(finished: Path, tmp_path: Path) -> None:
    assert run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1,")) == 0
    for key in ("alphas", "cell", "supernet_valid_loss", "train_loss"):
        ours, theirs = (
            [line[key] for line in RunFolder(seed_folder(path, 1)).epochs()] for path in (tmp_path, finished)
        )
        assert ours == theirs


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--set", "weights.momentum=0.5"], r"settings\.weights\.momentum = 0\.9, asked for is 0\.5"),
        (["--epochs", "3"], "epochs = 2, asked for is 3"),
        (["--threads", "2"], "threads = 1, asked for is 2; go on with --threads 1, or give this one a --name"),
    ],
)
def test_a_folder_of_another_configuration_is_refused(changed: list[str], message: str, finished: Path) -> None:
    before = (seed_folder(finished, 0) / "epochs.jsonl").read_bytes()
    with pytest.raises(UserError, match=message):
        run.main(command(finished, "--optimizer", "darts", "--seeds", "1", *changed))
    assert (seed_folder(finished, 0) / "epochs.jsonl").read_bytes() == before


def test_images_that_have_changed_since_are_refused(finished: Path, tmp_path: Path) -> None:
    folder = seed_folder(tmp_path, 0)
    shutil.copytree(seed_folder(finished, 0), folder)
    record = json.loads((folder / "config.json").read_text())
    assert len(record["images_sha256"]) == 64
    (folder / "config.json").write_text(json.dumps({**record, "images_sha256": "0" * 64}))
    with pytest.raises(UserError, match=f"images_sha256 = '{'0' * 64}', asked for is '{record['images_sha256']}'"):
        run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1"))


def test_a_seed_that_diverges_says_so_and_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rates = ["--set", "weights.learning_rate=1e9", "--set", "weights.learning_rate_min=1e8"]
    arguments = command(tmp_path, "--optimizer", "darts", "--seeds", "1", *rates)
    assert run.main(arguments) == 1
    said = re.search(r"seed 0: diverged, (.+?) at epoch (\d), step (\d+)", capsys.readouterr().out)
    assert said is not None
    before = (seed_folder(tmp_path, 0) / "epochs.jsonl").read_bytes()
    assert run.main(arguments) == 1
    assert f"seed 0: diverged before ({said[1]} at epoch {said[2]}, step {said[3]}" in capsys.readouterr().out
    assert (seed_folder(tmp_path, 0) / "epochs.jsonl").read_bytes() == before


def test_a_record_from_before_a_setting_is_one_at_its_default(finished: Path, tmp_path: Path) -> None:
    folder = seed_folder(tmp_path, 0)
    shutil.copytree(seed_folder(finished, 0), folder)
    without_checksums(folder)
    older = json.loads((folder / "config.json").read_text())
    del older["settings"]["drop_path"], older["settings"]["weights"]["skip_unused"]
    (folder / "config.json").write_text(json.dumps(older))
    assert run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1")) == 0
    with pytest.raises(UserError, match=r"settings\.drop_path\.probability = 0\.0, asked for is 0\.2"):
        run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1", "--set", "drop_path.probability=0.2"))


def test_which_checkpoints_are_kept_is_no_other_configuration(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = seed_folder(tmp_path, 0)
    shutil.copytree(seed_folder(finished, 0), folder)
    assert run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1", "--keep", "0,2")) == 0
    out, err = capsys.readouterr()
    assert "seed 0: finished before (2 epochs), skipped" in out
    assert "note: seed 0: past and not kept: epoch 0" in err


def test_a_resumed_seed_keeps_what_was_asked_for_before_and_now(finished: Path, tmp_path: Path) -> None:
    folder = seed_folder(tmp_path, 0)
    shutil.copytree(seed_folder(finished, 0), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "keep": [2]}))
    lines = (folder / "epochs.jsonl").read_text().splitlines(keepends=True)
    (folder / "epochs.jsonl").write_text("".join(lines[:-1]))
    assert run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1", "--keep", "1")) == 0
    assert json.loads((folder / "config.json").read_text())["keep"] == [1, 2]
    assert RunFolder(folder).kept_epochs() == [2]
    assert (folder / "epochs.jsonl").read_text() == "".join(lines)


@pytest.mark.parametrize(("text", "message"), [("0,x", "such as 0,50,100, got '0,x'"), ("3", "from 0 to 2, got 3")])
def test_epochs_to_keep_that_cannot_be_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"--keep: expected epochs {message}"):
        run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1", "--keep", text))


def test_a_run_from_before_the_hessian_by_the_mixture_is_the_same_run_and_one_that_refused_it_is_not(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = seed_folder(tmp_path, 0)
    shutil.copytree(seed_folder(finished, 0), folder)
    without_checksums(folder)
    older = json.loads((folder / "config.json").read_text())
    assert older["settings"]["hessian"].pop("mixture") is True  # digits asks for it, though the default is false
    (folder / "config.json").write_text(json.dumps(older))
    assert run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1")) == 0
    assert "seed 0: finished before (2 epochs), skipped" in capsys.readouterr().out
    older["settings"]["hessian"]["mixture"] = False
    (folder / "config.json").write_text(json.dumps(older))
    with pytest.raises(UserError, match=r"settings\.hessian\.mixture = False, asked for is True"):
        run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1"))


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `harness.run` as a terminal does, in a process group of its own; at the end none of it is left."""
    processes = []

    def started(*arguments: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.run", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_line(process: subprocess.Popen[str], beginning: str) -> None:
    """Read what a process prints up to a line."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return
    raise AssertionError(f"ended with status {process.wait()} before it said {beginning!r}: {process.communicate()}")


def test_a_half_done_seed_goes_on(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path, "--optimizer", "darts", "--seeds", "1")
    # So many epochs that it cannot end before the signal, however late that comes.
    arguments[arguments.index("--epochs") + 1] = "1000"
    process = start(*arguments)
    wait_for_line(process, "seed 0 epoch 0/1000")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "interrupted; every recorded epoch is kept" in err
    assert "goes on from there: python -m harness.run" in err
    assert "Traceback" not in err + out
    epochs = seed_folder(tmp_path, 0) / "epochs.jsonl"
    recorded = epochs.read_bytes()
    assert recorded.endswith(b"\n")
    process = start(*arguments)
    wait_for_line(process, "seed 0: goes on after epoch ")
    while epochs.stat().st_size <= len(recorded):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err + out
    assert epochs.read_bytes().startswith(recorded)
    assert [line["epoch"] for line in RunFolder(epochs.parent).epochs()] == list(range(epochs.read_text().count("\n")))
    assert len(RunFolder(epochs.parent).environment()["starts"]) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_training_is_no_traceback(
    number: int, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    (tmp_path / "slow_module.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(600)\n")
    arguments = command(tmp_path / "results", "--optimizer", "slow_module:Method", "--seeds", "1")
    process = start(*arguments, cwd=tmp_path)
    wait_for_line(process, "importing")
    os.killpg(process.pid, number)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    assert not (tmp_path / "results").exists()


def test_dry_run_writes_nothing_and_says_what_would_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    assert run.main(command(results, "--optimizer", "sdarts_adv", "--seeds", "6", "--dry-run")) == 0
    out, err = capsys.readouterr()
    assert "would run 6 of 6 seeds of sdarts_adv@tiny on digits, space 1, 2 epochs" in out
    assert re.search(r"estimate: a seed alone takes about \d+ seconds here, by what was just timed: \d+ steps of", err)
    assert json.loads(out[out.index("\n{") :])["perturbation"]["kind"] == "adversarial"
    assert not results.exists()


def test_a_dry_run_without_data_shows_the_settings_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "nothing"))
    small = ["--set", "network.channels=1", "--set", "network.cells=3", "--set", "data.batch_size=4"]
    arguments = ["--space", "1", "--optimizer", "darts", "--seeds", "2", "--epochs", "10", *small, "--dry-run"]
    assert run.main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.startswith("would run 2 seeds of darts@")
    assert json.loads(out[out.index("\n{") :])["data"]["batch_size"] == 4
    assert "cannot be run before its data are there" in err
    assert "python -m harness.prepare" in err
    assert "62,500 steps of" in err
    with pytest.raises(UserError, match="unknown setting"):
        run.main([*arguments, "--set", "network.width=1"])
    with pytest.raises(UserError, match="no NAS-Bench-101 table"):
        run.main(arguments[:-1])


def test_changed_settings_without_a_name_get_one_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def folder(*settings: str) -> str:
        arguments = ["--bench", "digits", "--space", "1", "--optimizer", "darts", "--seeds", "1", "--dry-run"]
        for setting in settings:
            arguments += ["--set", setting]
        assert run.main([*arguments, "--results", str(tmp_path)]) == 0
        return capsys.readouterr().out.split(", ")[2].splitlines()[0].split("/")[-2]

    assert folder() == "darts"
    assert folder("weights.momentum=0.9") == "darts"
    first = folder("weights.momentum=0.8")
    assert first.startswith("darts@")
    assert folder("weights.momentum=0.80") == first
    assert folder("weights.momentum=0.7") != first


def test_a_grid_runs_a_variant_for_each_value_and_one_is_chosen_by_the_supernet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path, "--optimizer", "r_darts_l2", "--seeds", "1")
    at = arguments.index("--name")
    arguments = [*arguments[:at], *arguments[at + 2 :]]
    assert run.main([*arguments, "--grid", "weights.weight_decay=9e-4,.5", "--epochs", "1"]) == 0
    accuracies = {}
    for value in ("0.0009", "0.5"):
        folder = RunFolder(seed_folder(tmp_path, 0, f"r_darts_l2@{value}"))
        assert folder.config()["settings"]["weights"]["weight_decay"] == float(value)
        accuracies[value] = folder.epochs()[-1]["supernet_valid_accuracy"]
    capsys.readouterr()
    assert choose.main([str(tmp_path)]) == 0
    best = max(accuracies, key=lambda value: accuracies[value])
    assert f"seed 0: r_darts_l2@{best}, " in capsys.readouterr().out


def test_the_authors_grid_is_a_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for optimizer, key, values in (
        ("r_darts_l2", "weights.weight_decay", ["0.0003", "0.0009", "0.0027", "0.0081", "0.0243"]),
        ("r_darts_dp", "drop_path.probability", ["0", "0.2", "0.4", "0.6"]),
    ):
        arguments = command(tmp_path, "--optimizer", optimizer, "--seeds", "2", "--grid", "--dry-run")
        assert run.main(arguments) == 0
        out = capsys.readouterr().out
        section, name = key.split(".")
        for value in values:
            assert f"would run 2 of 2 seeds of {optimizer}@tiny-{value} on digits" in out
        configurations = [json.loads("{" + part.partition("\n}")[0] + "}") for part in out.split("\n{")[1:]]
        assert [one[section][name] for one in configurations] == [float(value) for value in values]


PUBLISHED = ROOT / "results" / "published" / "demo"


@pytest.mark.parametrize("optimizer", ["darts", "sdarts_rs", "sdarts_adv"])
def test_published_runs_are_still_what_the_same_command_asks_for(
    optimizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not PUBLISHED.exists():
        pytest.skip("needs results/published/demo, which a checkout has and a wheel does not")
    arguments = ["--bench", "digits", "--space", "1", "--optimizer", optimizer, "--seeds", "6", "--dry-run"]
    assert run.main([*arguments, "--results", str(PUBLISHED)]) == 0
    out = capsys.readouterr().out
    assert out.count("finished before (100 epochs), skipped") == 6
    assert f"would run 0 of 6 seeds of {optimizer} on digits" in out


def test_seeds_are_a_number_a_range_or_a_list() -> None:
    assert parse_seeds("6") == [0, 1, 2, 3, 4, 5]
    assert parse_seeds("2-4") == [2, 3, 4]
    assert parse_seeds("4-4") == [4]
    assert parse_seeds("3,5,7") == [3, 5, 7]
    assert parse_seeds("0-2, 7") == [0, 1, 2, 7]
    assert parse_seeds("3,") == [3]


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "", "a", "1,a", "1.5", "3,3", "-1,2", ",", "4-2", "1-", "1-2-3", "1-3,2", "1000000000", "0-1000000"],
)
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--seeds: expected"):
        parse_seeds(text)


def test_one_seed_is_asked_for_by_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(command(tmp_path, "--optimizer", "darts", "--seed", "4", "--dry-run")) == 0
    out = capsys.readouterr().out
    assert out.startswith("seed 4: new, 2 epochs")
    assert "would run 1 of 1 seeds" in out


BAD = [
    (["--space", "4"], "--space: unknown space '4'; did you mean s4?"),
    (["--space", "nb102_1"], "--space: unknown space 'nb102_1'; did you mean nb101_1?"),
    (["--optimizer", "dart"], "unknown optimizer 'dart'; did you mean darts"),
    (["--optimizer", "sdart_adv"], "unknown optimizer 'sdart_adv'; did you mean sdarts_adv"),
    (["--optimizer", "something"], "unknown optimizer 'something'; known: darts"),
    (["--set", "weights.foo=1"], "unknown setting 'weights.foo'"),
    (["--set", "weights.momentum"], "expected key=value"),
    (["--set", "weights.momentum=.5", "--set", "weights.momentum=.6"], "given twice"),
    (["--seeds", "0"], "--seeds"),
    (["--bench", "nothing"], "unknown benchmark 'nothing'"),
    (["--seed", "2"], "--seed and --seeds are both given"),
    (["--seed", "-1"], "--seed"),
    (["--epochs", "0"], "--epochs"),
    (["--epochs", "1000000000"], "--epochs: expected a whole number from 1 to 100,000"),
    (["--threads", "1000000"], "--threads: expected a whole number from 1 to 1,024"),
    (["--json"], "--json goes with --optimizer list"),
    (["--name", "a/b"], "--name: expected letters"),
    (["--device", "tpu"], "--device"),
    (["--set", "data.images=100000"], "data.images: expected 1 to 600"),
    (["--set", "network.cells=0"], "network.cells: expected a whole number from 1 to 200, got '0'"),
    (["--set", "network.partial_channels=3"], "expected network.channels (8) to be a multiple of"),
    (["--frobnicate"], "--frobnicate"),
    (["--grid"], "--grid: darts has no grid of its own, r_darts_l2 and r_darts_dp have"),
    (["--grid", "--optimizer", "dart"], "unknown optimizer 'dart'"),
    (["--grid", "weights.weight_decay"], "--grid: expected KEY=VALUE,VALUE,..."),
    (["--grid", "weights.weight_decay=0.1"], "--grid: expected KEY=VALUE,VALUE,..."),
    (["--grid", "weights.weight_decay=0.1,.10"], "--grid: expected KEY=VALUE,VALUE,..."),
    (
        ["--grid", "drop_path.probability=0,2"],
        "drop_path.probability: expected a finite number from 0 below 1",
    ),
    (["--grid", "drop_path.probability=0,.2", "--set", "drop_path.probability=0"], "--grid and --set both give"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--bench", "digits", "--space", "1", "--optimizer", "darts", "--seeds", "1", "--results", str(tmp_path)]
    assert run_command(lambda: run.main([*base, *arguments])) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("error: ")


def test_missing_arguments_are_one_line_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: run.main([])) == 2
    assert "for example: python -m harness.run --space 1" in capsys.readouterr().err


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A results folder that not even root can write: its parent is a file."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "results"


def test_a_results_folder_that_cannot_be_written_is_one_line(
    unwritable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_command(lambda: run.main(command(unwritable, "--optimizer", "darts", "--seeds", "1")))
    assert status == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "--results" in err
    assert err.count("\n") == 1


def test_two_writers_of_a_seed_do_not_meet(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunFolder(seed_folder(tmp_path, 0)).locked():
        status = run.main(command(tmp_path, "--optimizer", "darts", "--seeds", "1"))
    assert status == 2
    captured = capsys.readouterr()
    assert "another process is running this seed" in captured.err


def test_a_damaged_checkpoint_stops_its_seed_only(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = seed_folder(finished, 4 if seed_folder(finished, 4).exists() else 1)
    lines = (folder / "epochs.jsonl").read_text().splitlines(keepends=True)
    (folder / "epochs.jsonl").write_text("".join(lines[:2]))
    (folder / "checkpoint.pt").write_bytes(b"damaged")
    seed = folder.name.removeprefix("seed")
    status = run.main(command(finished, "--optimizer", "darts", "--seeds", f"{seed},7"))
    captured = capsys.readouterr()
    assert status == 2
    assert "not a checkpoint, or one that was cut short" in captured.err
    assert "Traceback" not in captured.err
    assert RunFolder(seed_folder(finished, 7)).is_finished()
    assert (folder / "epochs.jsonl").read_text() == "".join(lines[:2])


def test_lists_print_a_method_a_line_and_once_how_it_is_called_with_a_perturbation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run.main(["--optimizer", "list"]) == 0
    assert run.main(["--bench", "list"]) == 0
    out = capsys.readouterr().out
    for name in ("darts", "darts_2nd", "hessian_reg", "r_darts_dp", "gdas", "enas", "NAME_rs", "nb101", "digits"):
        assert f"\n{name} " in f"\n{out}"
    for composed in ("sdarts_rs", "gdas_rs", "nasp_adv", "darts_2nd_gauss"):
        assert f"\n{composed} " not in out
    assert "Those of darts are called sdarts_rs, sdarts_adv, sdarts_gauss." in out


def test_lists_are_for_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--optimizer", "list", "--bench", "list", "--space", "list", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {bench["name"] for bench in content["benches"]} >= {"nb101", "digits", "nb201-small"}
    assert {space["label"] for space in content["spaces"]} >= {1, 2, 3, "nb201", "darts", "s4"}
    methods = {method["name"]: method for method in content["optimizers"]}
    assert {"darts", "sdarts_rs", "sdarts_adv", "darts_2nd_gauss", "gdas_rs", "nasp_adv", "pc_darts_rs"} <= set(methods)
    assert methods["sdarts_adv"]["perturbed_form_of"] == "darts"
    assert methods["darts_2nd_gauss"]["perturbed_form_of"] == "darts_2nd"
    assert methods["gdas"]["perturbed_form_of"] is None
    assert methods["sdarts_adv"]["settings"]["perturbation.kind"] == "adversarial"
    assert methods["r_darts_dp"]["grid"] == {"drop_path.probability": [0, 0.2, 0.4, 0.6]}
