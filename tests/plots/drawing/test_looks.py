"""One look for each method, the same on every figure and in every process, told apart in print and by every reader."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from plots.drawing.looks import KNOWN_METHODS, Array, drawing_order, look, oklab

LITERATURE = ["darts", "sdarts_rs", "sdarts_adv", "pc_darts", "gdas", "nasp", "enas", "random_ws"]
STUDY = [*LITERATURE, "darts_2nd", "hessian_reg", "darts_es", "r_darts_l2", "r_darts_dp", "pc_darts_rs", "pc_darts_adv"]
STRANGERS = [f"my_method_{number}" for number in range(16)]

#: Full protanopia and deuteranopia, on linear red, green and blue (Machado, Oliveira and Fernandes 2009, table 1).
COLOUR_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def linear(colour: str) -> Array:
    encoded = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encoded(values: Array) -> str:
    values = np.clip(values, 0, 1)
    values = np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * value):02x}" for value in values)


def seen_by(kind: str, colour: str) -> str:
    return encoded(np.array(COLOUR_BLIND[kind]) @ linear(colour))


def in_grey(colour: str) -> str:
    return encoded(np.full(3, np.array([0.2126, 0.7152, 0.0722]) @ linear(colour)))


def distance(first: str, second: str) -> float:
    return float(np.linalg.norm(oklab(first) - oklab(second)))


def test_oklab_is_that_of_its_author() -> None:
    np.testing.assert_allclose(oklab("#ffffff"), [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(oklab("#ff0000"), [0.62796, 0.22486, 0.12585], atol=1e-4)


@pytest.mark.parametrize("methods", [KNOWN_METHODS, STUDY])
def test_every_two_known_methods_differ_in_colour(methods: list[str]) -> None:
    for first, second in itertools.combinations(methods, 2):
        assert distance(look(first).colour, look(second).colour) > 0.1, (first, second)


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_every_two_known_methods_differ_for_a_colour_blind_reader(kind: str) -> None:
    for first, second in itertools.combinations(KNOWN_METHODS, 2):
        apart = distance(seen_by(kind, look(first).colour), seen_by(kind, look(second).colour))
        assert apart > (0.09 if look(first).dashes == look(second).dashes else 0.045), (first, second)


def test_two_known_methods_with_the_same_line_differ_in_grey_print() -> None:
    pairs = [pair for pair in itertools.combinations(KNOWN_METHODS, 2) if look(pair[0]).dashes == look(pair[1]).dashes]
    assert pairs
    for first, second in pairs:
        assert distance(in_grey(look(first).colour), in_grey(look(second).colour)) > 0.1, (first, second)


def test_no_two_known_methods_look_the_same_without_colour() -> None:
    shapes = [(look(name).dashes, look(name).marker, look(name).hollow) for name in KNOWN_METHODS]
    assert len(set(shapes)) == len(shapes)


def test_every_colour_stands_out_from_white_and_from_dark_pages() -> None:
    for name in [*KNOWN_METHODS, *STRANGERS, "darts@wide", "enas@wide"]:
        if name != "hessian_reg":  # Black, which the report page turns white on a dark ground.
            assert 0.42 < oklab(look(name).colour)[0] < 0.78, name


def test_methods_of_other_packages_have_colours_of_their_own() -> None:
    colours = [look(name).colour for name in STRANGERS]
    assert len(set(colours)) == len(colours)
    for colour, known in itertools.product(colours, KNOWN_METHODS):
        assert distance(colour, look(known).colour) >= 0.06, known


def test_variants_have_a_colour_near_their_method_s_but_not_the_same() -> None:
    for optimizer in [*LITERATURE, "my_method"]:
        variants = [look(f"{optimizer}@{name}") for name in ("wide", "79d1bebd", "a", "b")]
        colours = {look(optimizer).colour, *(one.colour for one in variants)}
        assert len(colours) == 5
        for one in variants:
            assert distance(one.colour, look(optimizer).colour) < 0.15
            assert one.dashes != look(optimizer).dashes


@pytest.mark.parametrize(
    ("method", "label"),
    [
        ("darts", "DARTS"),
        ("sdarts_rs", "SDARTS-RS"),
        ("pc_darts", "PC-DARTS"),
        ("sdarts_adv@one_step", "SDARTS-ADV @one_step"),
        ("my_method", "my_method"),
        ("cost_$x$", r"cost_\$x\$"),
    ],
)
def test_display_names(method: str, label: str) -> None:
    assert look(method).label == label


def test_colours_are_fixed() -> None:
    assert look("darts").colour == "#d55e00"
    assert look("sdarts_rs").colour == "#0173b2"
    assert look("sdarts_adv").colour == "#029e73"
    assert look("my_method").colour == "#b850c9"


def test_an_unknown_method_looks_the_same_in_another_process() -> None:
    code = "from plots.drawing.looks import look; print(look('my_method'), look('darts@x'))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == f"{look('my_method')} {look('darts@x')}"


def test_an_unknown_method_has_the_marker_of_no_known_one() -> None:
    known = {(look(name).marker, look(name).hollow) for name in KNOWN_METHODS}
    assert all((look(name).marker, look(name).hollow) not in known for name in STRANGERS)


def test_methods_are_drawn_in_the_literature_s_order_then_by_name() -> None:
    names = ["zeta", "sdarts_adv", "darts@x", "alpha", "darts"]
    assert sorted(names, key=drawing_order) == ["darts", "darts@x", "sdarts_adv", "alpha", "zeta"]
