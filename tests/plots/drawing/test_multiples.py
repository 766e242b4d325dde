"""Which methods stand in front together."""

from __future__ import annotations

import itertools

from plots.drawing.looks import KNOWN_METHODS
from plots.drawing.multiples import MOST_IN_FRONT, groups_of


def test_a_study_s_methods_stand_together_by_family() -> None:
    names = ["enas", "darts_es", "sdarts_rs", "darts", "gdas", "sdarts_adv", "pc_darts", "nasp", "hessian_reg"]
    assert groups_of([*names, "r_darts_l2", "r_darts_dp", "random_ws", "pc_darts_rs"]) == [
        ["darts", "sdarts_rs", "sdarts_adv"],
        ["pc_darts", "gdas", "nasp", "enas"],
        ["hessian_reg", "darts_es", "r_darts_l2", "r_darts_dp"],
        ["random_ws", "pc_darts_rs"],
    ]


def test_small_neighbours_are_joined() -> None:
    assert groups_of(["hessian_reg", "random_ws", "zeta"]) == [["hessian_reg", "random_ws", "zeta"]]


def test_a_variant_stands_with_its_method() -> None:
    assert groups_of(["darts@a", "gdas", "nasp", "enas", "darts"]) == [["darts", "darts@a"], ["gdas", "nasp", "enas"]]


def test_every_method_is_in_one_group_of_at_most_four_however_many_there_are() -> None:
    names = [*KNOWN_METHODS, *(f"{name}@x" for name in KNOWN_METHODS), *(f"m{number}" for number in range(7))]
    for count in range(1, len(names) + 1):
        groups = groups_of(names[:count])
        assert sorted(itertools.chain(*groups)) == sorted(names[:count])
        assert max(map(len, groups)) <= MOST_IN_FRONT
