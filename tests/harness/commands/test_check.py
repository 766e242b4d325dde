from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import run_command
from harness.commands import check
from harness.conformance import Subject
from harness.errors import UserError

FAULTS = "tests.support.planted_faults"


def test_a_sound_method_keeps_the_contract_and_the_status_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["random_ws"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "random_ws, on a tiny network on the CPU"
    assert "  ok      seeds are independent" in lines
    assert "  -       shift invariance is as declared: it has no alphas" in lines
    assert lines[-1].startswith("random_ws: keeps the contract (")


def test_a_method_is_checked_in_the_space_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["enas", "--space", "toy"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "enas, in space toy, on a tiny network on the CPU"


UNFROZEN = """
from dataclasses import dataclass
from optimizers.config import OptimizerConfig
from optimizers.darts import Darts

@dataclass
class MyConfig(OptimizerConfig):
    pass

class Mine(Darts):
    config_class = MyConfig
"""


def test_settings_that_are_not_frozen_are_blamed_on_the_line_that_declares_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "unfrozen_settings.py").write_text(UNFROZEN)
    monkeypatch.syspath_prepend(tmp_path)
    assert run_command(lambda: check.main(["unfrozen_settings:Mine"])) == 2
    err = capsys.readouterr().err
    assert "cannot inherit non-frozen dataclass from a frozen one" in err
    assert f"{tmp_path / 'unfrozen_settings.py'}:6" in err or f"{tmp_path / 'unfrozen_settings.py'}:7" in err


def test_a_broken_promise_is_said_in_words_and_the_status_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([f"{FAULTS}:RelaxesToTheAlphasThemselves", "random_ws"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (broken,) = [line for line in lines if "BROKEN" in line]
    assert broken.startswith(
        "  BROKEN  mixtures lie on the simplex: relax, before any training: row tensor 0 is off the"
    )
    assert "Look at relax" in broken
    assert any(line.endswith("until this is mended: mixtures lie on the simplex") for line in lines)
    assert lines[-1] == "1 of 2 methods keep the contract"


def test_a_check_may_be_left_out_and_a_setting_given(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [f"{FAULTS}:OwnAttackDescends", "--skip", "the_attack_raises_the_training_loss"]
    assert check.main([*arguments, "--set", "network.channels=2"]) == 0
    assert "the attack raises" not in capsys.readouterr().out


def test_the_checks_are_listed_with_what_they_promise(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--list"]) == 0
    assert (
        "derive_is_stable\n    Asked several times, `derive` gives the same architecture.\n" in capsys.readouterr().out
    )


def test_all_stands_for_every_built_in_method(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def report(subject: Subject, skip: object) -> bool:
        names.append(subject.method.name)
        return True

    monkeypatch.setattr(check, "_report", report)
    assert check.main(["all"]) == 0
    assert {"darts", "sdarts_adv", "gdas_rs", "enas", "random_ws"} <= set(names)
    assert f"{len(names)} of {len(names)} methods keep the contract" in capsys.readouterr().out


BAD = [
    ([], "expected a method or module:Class, for example"),
    (["dart"], "unknown optimizer 'dart'; did you mean darts?"),
    (["missing_module:Mine"], "missing_module:Mine: no module 'missing_module' in"),
    ([f"{FAULTS}:SIMPLEX"], "expected a subclass of optimizers.base.Optimizer, got an object of type str"),
    (["darts", "--space", "toi"], "--space: unknown space 'toi'; did you mean toy"),
    (["darts", "--skip", "nothing"], "--skip: no check is called 'nothing'; --list prints them"),
    (["darts", "--set", "no.such=1"], "unknown setting 'no.such'"),
    (["darts", "--set", "weights.momentum"], "expected key=value"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: check.main(arguments)) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_what_is_wrong_with_the_class_is_for_the_checks_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["tests.support.further_faults:HasNoConfigOfItsOwn", "--set", "network.channels=2"]
    assert check.main(arguments) == 1
    assert "BROKEN  its settings can be set: config_class is" in capsys.readouterr().out


def test_a_mistake_is_raised_for_whoever_calls_the_function() -> None:
    with pytest.raises(UserError, match="--skip"):
        check.main(["darts", "--skip", "nothing"])
