"""The figures that have a name. A new one is a function and a line in `FIGURES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plots.drawing.pages import Options, Page
from plots.figures import cells, paper, parameter_free, standalone, theory
from plots.runs.records import Comparison

Draw = Callable[[str, Sequence[Comparison], Options], list[Page]]
"""Draws the spaces of one benchmark, whose name for files is given first.

Raises:
    NothingToDrawError: there is nothing to draw; the message says what is missing.
"""


@dataclass(frozen=True)
class Named:
    """A figure.

    Attributes:
        draw: makes its pages.
        summary: what it shows, in a line.
        takes: the options of the command line, besides `--methods`, that it heeds.
    """

    draw: Draw
    summary: str
    takes: tuple[str, ...] = ()


CURVES = ("--x", "--y", "--best-by", "--band")

LANDSCAPES = {"1": "validation accuracy over the alphas, from what `harness.landscape` measured"}
"""The one that is drawn from other files than runs' lines (`plots.landscape`)."""

FIGURES = {
    "3": Named(
        paper.figure_3, "anytime test error of DARTS, Hessian penalty, SDARTS-RS and -ADV, spaces side by side", CURVES
    ),
    "4": Named(paper.figure_4, "anytime regret or test error of all methods, spaces side by side", CURVES),
    "5": Named(paper.figure_5, "spectral norm of the Hessian over the search, spaces side by side", ("--band",)),
    "table5": Named(
        parameter_free.draw, "share of parameter-free operations in the derived cell, spaces side by side", ("--band",)
    ),
    "cells": Named(
        cells.draw, "the derived cell of each method's first seed at some epochs, and its changes", ("--epochs",)
    ),
    "standalone": Named(
        standalone.draw,
        "the supernet's accuracy against the stand-alone accuracy of what it returns, and the curvature; of DARTS, "
        "SDARTS-RS and -ADV where --methods names no others",
    ),
    "theory": Named(theory.draw, "why a search decays: errors, Hessian, projection gap, bound C and entropy"),
}
