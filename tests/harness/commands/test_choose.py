from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.commands import choose
from harness.errors import UserError
from harness.records.run_folder import RunFolder, RunFolderError, run_path

Write = Callable[..., Path]

EPOCHS = 2


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a run whose last epoch has this supernet accuracy and test error."""

    def write_run(
        method: str, seed: int, accuracy: float, error: float | None = 0.05, *, lines: int = EPOCHS + 1, **other: object
    ) -> Path:
        optimizer, _, name = method.partition("@")
        folder = RunFolder(run_path(tmp_path, "digits", 1, method, seed))
        table = {"label": "digits", "kind": "measured", "sha256": "ab" * 32}
        record = {"bench": "digits", "space": 1, "optimizer": optimizer, "name": name or None, "seed": seed}
        config = {"format": 1, **record, "epochs": EPOCHS, "settings": {}, "table": table, "scale": "small", **other}
        folder.create(config, {})
        (folder.path / "epochs.jsonl").touch()
        for epoch in range(lines):
            last = epoch == EPOCHS
            line = {"cell": f"cell of {method}", "test_error": error, "table": "digits", "scale": "small"}
            folder.append({**line, "epoch": epoch, "supernet_valid_accuracy": accuracy if last else 1 - accuracy})
        return folder.path

    return write_run


def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert choose.main([str(tmp_path)]) == 0
    return capsys.readouterr().out


def test_the_supernets_accuracy_decides_and_never_the_table(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("r_darts_l2@0.0003", 0, accuracy=0.90, error=0.01)
    better = write("r_darts_l2@0.0009", 0, accuracy=0.91, error=0.20)
    out = printed(tmp_path, capsys)
    assert f"seed 0: r_darts_l2@0.0009, cell cell of r_darts_l2@0.0009, test error 20.00 %, {better}" in out
    assert "r_darts_l2@0.0003  seed 0: 0.9000 " in out
    assert "r_darts_l2@0.0009  seed 0: 0.9100*" in out


def test_the_choice_is_made_for_each_seed(tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, accuracies in enumerate([(0.9, 0.8, 0.7), (0.7, 0.9, 0.9)]):
        for value, accuracy in zip(("0", "0.2", "0.4"), accuracies, strict=True):
            write(f"r_darts_dp@{value}", seed, accuracy)
    out = printed(tmp_path, capsys)
    assert "seed 0: r_darts_dp@0, " in out
    assert "seed 1: r_darts_dp@0.2, " in out  # of equals, the first


def test_methods_are_not_mixed_and_one_without_variants_is_passed_over(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("darts", 0, accuracy=0.99)
    write("darts_es", 0, accuracy=0.98)
    write("r_darts_dp", 0, accuracy=0.3)
    write("r_darts_dp@0.4", 0, accuracy=0.4)
    out = printed(tmp_path, capsys)
    assert "seed 0: r_darts_dp@0.4, " in out
    assert "darts_es" not in out


def test_a_seed_that_a_variant_has_not_finished_is_left_out_and_named(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1, 2):
        write("r_darts_dp@0", seed, accuracy=0.5)
    write("r_darts_dp@0.2", 0, accuracy=0.6)
    write("r_darts_dp@0.2", 1, accuracy=0.6, lines=EPOCHS)
    assert choose.main([str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "left out, since not all variants have finished them: seed 1, 2" in captured.err
    assert "seed 0: r_darts_dp@0.2" in captured.out
    assert "seed 1" not in captured.out


def test_a_cell_outside_the_table_is_chosen_all_the_same(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("r_darts_dp@0", 0, accuracy=0.5)
    write("r_darts_dp@0.2", 0, accuracy=0.6, error=None)
    assert "seed 0: r_darts_dp@0.2, cell cell of r_darts_dp@0.2, test error not in the table" in printed(
        tmp_path, capsys
    )


def test_without_variants_that_finished_there_is_nothing_to_choose_among(tmp_path: Path, write: Write) -> None:
    write("darts", 0, accuracy=0.9)
    write("r_darts_dp@0", 0, accuracy=0.5)
    write("r_darts_dp@0.2", 1, accuracy=0.5)
    with pytest.raises(
        UserError, match="expected at least two variants of a method, which differ in one setting, with the same seed"
    ):
        choose.main([str(tmp_path)])


def test_a_line_without_the_accuracy_is_named(tmp_path: Path, write: Write) -> None:
    write("r_darts_dp@0", 0, accuracy=0.5)
    folder = write("r_darts_dp@0.2", 0, accuracy=0.6, lines=EPOCHS)
    RunFolder(folder).append({"epoch": EPOCHS, "table": "digits", "scale": "small", "supernet_valid_accuracy": None})
    with pytest.raises(RunFolderError, match=r"r_darts_dp@0\.2/seed0: expected a number as supernet_valid_accuracy"):
        choose.main([str(tmp_path)])


def test_variants_of_different_length_are_not_compared(tmp_path: Path, write: Write) -> None:
    write("r_darts_dp@0", 0, accuracy=0.5)
    write("r_darts_dp@0.2", 0, accuracy=0.6, lines=EPOCHS, epochs=EPOCHS - 1)
    with pytest.raises(UserError, match="r_darts_dp: its variants have different numbers of epochs"):
        choose.main([str(tmp_path)])


def test_a_variant_that_differs_in_more_than_the_grids_setting_is_left_out(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, dropped, decay in (("0.2", 0.2, 3e-4), ("0.4", 0.4, 3e-4), ("other", 0.0, 9e-4)):
        settings = {"drop_path": {"probability": dropped}, "weights": {"weight_decay": decay}}
        write(f"darts@{name}", 0, accuracy=0.99 if name == "other" else 0.9, settings=settings)
    assert choose.main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "darts@other" not in out
    assert "left out: darts@other: differs from the others in more than one setting" in err
