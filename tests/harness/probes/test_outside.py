"""A quantity of one's own, with its figure and its chart on the report page, is one file outside the package."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from harness.commands import plot, report, run

PROBE = '''
from harness.probes.base import Probe
from harness.records.catalogue import Quantity


class AlphaNorm(Probe):
    """Euclidean norm of all alphas together."""

    name = "alpha_norm"
    quantities = (Quantity("alpha_norm", "norm of the alphas", "Euclidean norm of all alphas together."),)

    def measure(self, state):
        return {"alpha_norm": float(sum(alpha.detach().square().sum() for alpha in state.optimizer.alphas)) ** 0.5}
'''


def command(results: Path, probe: str) -> list[str]:
    settings = {
        "network.channels": 2,
        "data.images": 16,
        "data.batch_size": 8,
        "hessian.every": 0,
        "probes.extra": probe,
    }
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    base = "--bench digits --space 1 --optimizer darts --seeds 1 --epochs 2 --name x --device cpu"
    return [*base.split(), *sets, "--results", str(results)]


def test_a_probe_of_ones_own_is_recorded_drawn_and_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "norm_probe.py").write_text(PROBE)
    results = tmp_path / "results"
    assert run.main(command(results, "norm_probe:AlphaNorm")) == 0
    folder = results / "digits" / "space1" / "darts@x" / "seed0"
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    for line in lines:
        norm = sum(entry**2 for row in line["alphas"] for entry in flat(row)) ** 0.5
        assert line["alpha_norm"] == pytest.approx(norm, rel=1e-5)
    (entry,) = json.loads((folder / "config.json").read_text())["quantities"]
    assert (entry["name"], entry["label"]) == ("alpha_norm", "norm of the alphas")
    assert plot.main([str(results), "--figure", "quantity:alpha_norm"]) == 0
    (numbers,) = (results / "figures").glob("*alpha_norm*.csv")
    assert any("darts@x" in row for row in csv.reader(numbers.read_text().splitlines()))
    assert report.main([str(results)]) == 0
    assert "norm of the alphas" in (results / "report.html").read_text()


def flat(row: object) -> list[float]:
    return [entry for part in row for entry in flat(part)] if isinstance(row, list) else [float(str(row))]


@pytest.mark.parametrize(
    ("probe", "words"), [("nothing", "unknown probe 'nothing'"), ("json:loads", "expected a subclass")]
)
def test_what_is_no_probe_is_refused_before_anything_starts(probe: str, words: str, tmp_path: Path) -> None:
    from harness.errors import UserError

    with pytest.raises(UserError, match=words):
        run.main(command(tmp_path / "results", probe))
    assert not (tmp_path / "results").exists()
