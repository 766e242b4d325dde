"""What a named figure is made from, and what it is made into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from harness.records.run_folder import space_order
from plots.runs.records import Comparison
from plots.runs.survey import Survey

SPACES = (1, 2, 3)


@dataclass(frozen=True)
class Options:
    """What a command line may ask of a figure; each figure takes what concerns it.

    Attributes:
        methods: only these methods, by name; empty for the figure's own choice.
        seconds: whether curves run over seconds of training instead of epochs.
        chosen_by: `supernet` or `table` for the best cell so far by that validation figure, None for the epoch's cell.
        interval: whether bands are 95 % intervals of the mean instead of the paper's standard deviation.
        epochs: the epochs whose cells are drawn; empty for the figure's own choice.
        vertical: `error` for a linear axis of test errors, `regret` for a logarithmic one of what they are above the
            optimum of the space; None for the figure's own choice.
        beside: a folder whose one-shot runs stand beside black-box methods; None for the folder that is drawn.
    """

    methods: tuple[str, ...] = ()
    seconds: bool = False
    chosen_by: str | None = None
    interval: bool = False
    epochs: tuple[int, ...] = ()
    vertical: str | None = None
    beside: Path | None = None


@dataclass(frozen=True)
class Page:
    """One drawing.

    Attributes:
        name: what its files are called after.
        figure: the drawing.
        numbers: what is behind it, as CSV.
        text: what is printed besides, if anything.
    """

    name: str
    figure: Figure
    numbers: str
    text: str = field(default="")


def sheets(survey: Survey) -> Iterator[tuple[str, list[Comparison]]]:
    """What goes side by side: the spaces of one benchmark at one scale, in order, with a name for the files.

    Two tables of one space, which survey holds apart, go on sheets of their own.
    """
    names: dict[str, int] = {}
    for sheet in survey.benchmarks():
        bench = sheet[0].bench
        names[bench] = names.get(bench, 0) + 1
        suffix = f"_{names[bench]}" if names[bench] > 1 else ""
        yield f"{bench}{suffix}", sorted(sheet, key=lambda comparison: space_order(comparison.space))


def missing_spaces(comparisons: Sequence[Comparison]) -> list[str]:
    """A note on the spaces of NAS-Bench-1Shot1 that no run is of, where there is a run of any of them."""
    present = {comparison.space for comparison in comparisons}
    missing = [str(space) for space in SPACES if space not in present and present & set(SPACES)]
    return [f"Not recorded: space{'s' * (len(missing) > 1)} {' and '.join(missing)}."] if missing else []
