"""A companion that an installed package offers joins by its settings; one that is of no use breaks itself only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.launch.plan import plan_all
from harness.search.settings import resolve
from optimizers.companions import registry
from optimizers.companions.registry import GROUP, companion_classes, companion_problems
from optimizers.registry import get_method
from spaces.registry import get_space
from tests.support.seeds_here import asked

SOUND = """
from dataclasses import dataclass
from optimizers.companions.base import Companion


@dataclass(frozen=True)
class GentleConfig:
    factor: float = 1.0


class Gentle(Companion):
    name = "gentle"
    config_class = GentleConfig
    joins = "alphas"


@dataclass(frozen=True)
class DemandingConfig:
    factor: float


class Demanding(Companion):
    name = "demanding"
    config_class = DemandingConfig
    joins = "alphas"


class Twin(Gentle):
    pass


number = 3
"""


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that installed packages lie in; what they register is forgotten afterwards."""
    companion_classes()
    before = dict(registry._companions)
    name = f"offered_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(SOUND)
    (tmp_path / f"zero_{name}.py").write_text("1 / 0\n")
    metadata = tmp_path / "gentle-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: gentle\nVersion: 1.2\n")
    offers = [
        f"zero = zero_{name}:Zero",
        f"gentle = {name}:Gentle",
        f"twin = {name}:Twin",
        f"number = {name}:number",
        f"missing = {name}:Missing",
        f"demanding = {name}:Demanding",
    ]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *offers, ""]))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    registry._companions.clear()
    registry._companions.update(before)


def test_a_sound_one_joins_and_each_broken_one_is_named_with_its_reason(offered: Path) -> None:
    assert "gentle" in companion_classes()
    assert not {"zero", "number", "missing", "demanding"} & set(companion_classes())
    zero, twin, number, missing, demanding = companion_problems()
    assert zero.startswith("companion 'zero' of the package gentle 1.2 (")
    assert "cannot be loaded, ZeroDivisionError" in zero
    assert "two companions are called 'gentle'" in twin
    assert "expected a subclass of optimizers.companions.base.Companion" in number
    assert "cannot be loaded, AttributeError" in missing
    assert "expected settings (`config_class`) that all have defaults" in demanding
    _, changed = resolve(get_method("darts"), get_space(1), {}, {"gentle.factor": "0.5"}, None)
    assert changed == {"gentle.factor": 0.5}


def test_a_search_goes_on_without_the_broken_ones_and_says_so(
    offered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (plan,) = plan_all([asked(tmp_path / "results")])
    assert len(plan.pending) == 1
    notes = [line for line in capsys.readouterr().err.splitlines() if "searches go on without it" in line]
    assert len(notes) == len(companion_problems()) == 5
    assert all(note.startswith("note: ") for note in notes)
