"""Figures from run folders to files: the overview of every space, and the figures that have a name.

What is written is printed on stdout, what could not be drawn and why on stderr.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import UserError, printable
from plots.drawing import anytime, style
from plots.drawing.pages import Options, sheets
from plots.figures import black_box, decay, hessian, landscape, quantity
from plots.figures.registry import FIGURES, LANDSCAPES, Named
from plots.runs.picking import EVERYTHING, Picking
from plots.runs.records import NothingToDrawError, csv_text
from plots.runs.survey import Survey, survey

BLACK_BOX = "blackbox"
_OTHERS = (*LANDSCAPES, BLACK_BOX)
"""The figures that are drawn from other files than runs' lines."""


def list_figures() -> list[str]:
    """Every figure that has a name, with what it shows, in lines."""
    summaries = {
        **LANDSCAPES,
        BLACK_BOX: black_box.SUMMARY,
        **{name: figure.summary for name, figure in FIGURES.items()},
    }
    summaries[f"{quantity.PREFIX}NAME"] = quantity.SUMMARY
    return [f"{name:10} {summary}" for name, summary in summaries.items()]


def draw_overview(results: Path, out: Path | None, picking: Picking = EVERYTHING) -> None:
    """Draw the three figures of each benchmark and space, and what black-box methods recorded.

    Args:
        results: a folder at or above run folders.
        out: where to write; None for `figures` in the folder.
        picking: which methods are drawn.

    Raises:
        UserError: there is nothing to draw, or no such method.
        RunFolderError: there is no such folder.
    """
    drawn = len(_drawn_of_black_box(results, out, picking))
    for bench, sheet in sheets(_found(results, picking, needed=not drawn)):
        for comparison, figure_module in itertools.product(sheet, (anytime, hessian, decay)):
            name = f"{figure_module.NAME}_{bench}_{comparison.folder}"
            try:
                figure, series = figure_module.draw(comparison)
            except NothingToDrawError as reason:
                print(printable(f"not drawn: {name}: {reason}"), file=sys.stderr)
                continue
            for path in style.save(figure, _folder(results, out) / name, csv_text((comparison, series))):
                print(path)
            drawn += 1
    if not drawn:
        raise UserError(f"{results}: nothing to draw yet; wait until a search has finished its first epoch")


def draw_named(
    results: Path,
    names: Sequence[str],
    asked: Options,
    given: Sequence[str],
    out: Path | None,
    picking: Picking = EVERYTHING,
) -> None:
    """Draw figures by name, of each benchmark.

    Args:
        results: a folder at or above run folders.
        names: of the figures.
        asked: what the command line asks of them.
        given: the options of the command line that say so, each of which every figure must heed.
        out: where to write; None for `figures` in the folder.
        picking: which methods are drawn.

    Raises:
        UserError: a figure or a method is not known, would ignore an option, or nothing can be drawn.
        RunFolderError: there is no such folder.
    """
    wanted = _known(names)
    _refuse_ignored(names, given)
    drawn = _draw_landscapes(results, out) if set(names) & set(LANDSCAPES) else 0
    if BLACK_BOX in names:
        drawn += len(_drawn_of_black_box(results, out, picking, asked.beside))
    drawn += _draw_of_runs(results, wanted, asked, out, picking) if wanted else 0
    if not drawn:
        raise UserError(f"{results}: nothing drawn of figure {', '.join(names)}; the lines above say why")


def _found(results: Path, picking: Picking, needed: bool = True) -> Survey:
    """The runs to draw; what is left out is said, and which names of files tell tables or scales apart.

    Raises:
        UserError: there is none, or no such method, and one is needed.
    """
    found = survey(results, picking=picking)
    if needed:
        found.check(picking)
    for left_out in found.left_out:
        print(printable(f"left out: {left_out}"), file=sys.stderr)
    if not found.comparisons and needed:
        raise UserError(f"{results}: no run here that can be drawn; make one with `python -m harness.run`")
    named = list(sheets(found))
    for bench, sheet in named:
        if sum(other[0].bench == sheet[0].bench for _, other in named) > 1:
            table = " ".join(part for part in (sheet[0].table, sheet[0].table_sha256[:12]) if part)
            scale = sheet[0].scale or "scale not recorded"
            print(printable(f"files named {bench}: table {table}, {scale}"), file=sys.stderr)
    return found


def _draw_landscapes(results: Path, out: Path | None) -> int:
    """Figure 1, from what `harness.landscape` measured; the number of files written."""
    paths = landscape.write(results, out or results / "figures")
    if not paths:
        reason = f"no landscape to draw at or below {results}; `python -m harness.landscape RUN` computes one"
        print(f"not drawn: figure 1: {reason}", file=sys.stderr)
    for path in paths:
        print(path)
    return len(paths)


def _drawn_of_black_box(results: Path, out: Path | None, picking: Picking, beside: Path | None = None) -> list[Path]:
    """The files written of what black-box methods recorded, each said on stdout."""
    paths = black_box.write(results, out or results / "figures", picking, beside)
    for path in paths:
        print(path)
    return paths


def _draw_of_runs(
    results: Path, wanted: Mapping[str, Named], asked: Options, out: Path | None, picking: Picking
) -> int:
    """Figures of what runs recorded epoch by epoch; the number of pages drawn."""
    found = _found(results, picking)
    drawn = 0
    for figure_name, figure in wanted.items():
        for bench, sheet in sheets(found):
            try:
                pages = figure.draw(bench, sheet, asked)
            except NothingToDrawError as reason:
                print(printable(f"not drawn: figure {figure_name} of {bench}: {reason}"), file=sys.stderr)
                continue
            for page in pages:
                if page.text:
                    print(page.text)
                for path in style.save(page.figure, _folder(results, out) / page.name, page.numbers):
                    print(path)
            drawn += len(pages)
    return drawn


def _known(names: Sequence[str]) -> dict[str, Named]:
    """The figures of these names, each once, as asked for, the landscape's aside.

    Raises:
        UserError: one is not known.
    """
    figures = {name: FIGURES.get(name) or quantity.named(name) for name in names if name not in _OTHERS}
    for name, figure in figures.items():
        if figure is None:
            known = ", ".join([*_OTHERS, *FIGURES, f"{quantity.PREFIX}NAME"])
            raise UserError(f"unknown figure {name!r}; known: {known} (`--figure list` says what they show)")
    return {name: figure for name, figure in figures.items() if figure is not None}


def _refuse_ignored(names: Sequence[str], given: Sequence[str]) -> None:
    """Refuse an option that a figure asked for would ignore.

    Raises:
        UserError: it would.
    """
    takes = {name: ("--methods", *figure.takes) for name, figure in {**FIGURES, **_known(names)}.items()}
    takes |= dict.fromkeys(LANDSCAPES, ()) | {BLACK_BOX: ("--beside",)}
    for option in given:
        ignoring = [name for name in names if option not in takes[name]]
        if ignoring:
            taking = ", ".join(name for name, options_of in takes.items() if option in options_of)
            raise UserError(f"{option} is not of figure {', '.join(ignoring)}; it goes with --figure {taking}")


def _folder(results: Path, out: Path | None) -> Path:
    """Where to write; made when there is something to write."""
    folder = out or results / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
