"""Spaces by name: those of the project, of a module of one's own, and of installed packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.commands import run
from harness.records.run_folder import RunFolder
from spaces.plugins import PluginError
from spaces.registry import GROUP, get_space, list_spaces
from tests.support.seeds_here import asked, quiet, search

MODULE = """
from spaces.toy.space import ToySpace

MINE = ToySpace()
number = 3


class Own(ToySpace):
    name = label = "my_own_space"


OWN = Own()


class Leading(ToySpace):
    label = "../up"


LEADING = Leading()
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with a space, beside one that cannot be imported, in the working directory and the path."""
    name = f"room_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"zero_{name}.py").write_text("a = 1\nb = a / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_space_of_a_module_is_named_with_it(plugins: str) -> None:
    assert get_space(f"{plugins}:MINE").name == get_space("toy").name


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{0}:OTHER", r"{0}:OTHER: {0} \(.*\) has no 'OTHER'"),
        ("{0}:number", r"{0}:number: expected a spaces\.base\.Space, got int"),
        ("{0}.py:MINE", r"no module '{0}\.py' .* a module is named without its suffix, {0}:MINE$"),
        ("missing:MINE", r"missing:MINE: no module 'missing' in "),
        ("zero_{0}:MINE", r"zero_{0} cannot be imported, ZeroDivisionError: division by zero \(.*zero_{0}\.py:2\)$"),
        ("a/b:C", r"expected module:NAME, such as my_module:MY_SPACE, got 'a/b:C'"),
        ("{0}:LEADING", r"{0}:LEADING: expected a label of letters, digits, .* got '\.\./up'"),
        ("toi", r"unknown space 'toi'; did you mean toy\?"),
        ("nowhere_near", r"unknown space 'nowhere_near'; known: .*toy.*, and module:NAME"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(spec: str, message: str, plugins: str) -> None:
    with pytest.raises(PluginError, match=message.format(plugins)) as raised:
        get_space(spec.format(plugins))
    assert "\n" not in str(raised.value)


def test_packages_offer_spaces_and_a_broken_one_is_named_in_the_list(
    tmp_path: Path, plugins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = tmp_path / "roomy-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: roomy\nVersion: 1.2\n")
    offers = f"my_room = {plugins}:MINE\nbroken_room = zero_{plugins}:MINE\n"
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{offers}")
    assert get_space("my_room").name == "toy"
    with pytest.raises(PluginError, match=r"space 'broken_room' of the package roomy 1\.2 .* cannot be loaded, Zero"):
        get_space("broken_room")
    spaces, problems = list_spaces()
    assert "toy" in [space.name for space in spaces]
    (problem,) = problems
    assert problem.startswith("space 'broken_room' of the package roomy 1.2")
    assert run.main(["--space", "list"]) == 0
    out, err = capsys.readouterr()
    assert "nb201" in out
    assert err == f"note: {problem}\n"


def test_a_search_in_a_space_of_a_module_resumes_though_its_label_is_known_nowhere(
    plugins: str, tmp_path: Path
) -> None:
    request = asked(tmp_path / "results", space=f"{plugins}:OWN")
    with pytest.raises(PluginError, match="unknown space 'my_own_space'"):
        get_space("my_own_space")
    with quiet():
        search(request, stop_after=2)
        search(request)
    found = RunFolder(tmp_path / "results" / "digits" / "my_own_space" / "darts@small" / "seed0")
    assert found.is_finished()
    assert found.config()["space"] == "my_own_space"
    assert len(found.environment()["starts"]) == 2
