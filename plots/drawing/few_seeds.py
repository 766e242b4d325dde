"""What a figure says where its seeds are too few for any of its methods to be called better than another."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records.statistics import smallest_p
from plots.drawing.looks import look
from plots.runs.records import Series

ALPHA = 0.05


def few_seeds(*panels: Sequence[Series]) -> list[str]:
    """A note on the methods that no test could tell from any other here; none where each has seeds enough.

    A method counts where Mann-Whitney's exact test of its seeds against those of the method with the most could give a
    p of .05 at all: 4 seeds against 4, or 3 against 5.

    Args:
        panels: the methods that are drawn together, of each space.
    """
    unranked: dict[str, int] = {}
    smallest: list[tuple[float, tuple[int, int]]] = []
    anyone_ranked = False
    for series in panels:
        for position, curve in enumerate(series):
            others = [other.seeds for at, other in enumerate(series) if at != position]
            if not others:
                continue
            pair = (curve.seeds, max(others))
            if smallest_p(*pair) <= ALPHA:
                anyone_ranked = True
                continue
            unranked[curve.method.name] = curve.seeds
            smallest.append((smallest_p(*pair), pair))
    if not unranked:
        return []
    if anyone_ranked:
        names = ", ".join(f"{look(name).label} (n={seeds})" for name, seeds in unranked.items())
        return [f"Too few seeds to be ranked among the others: {names}."]
    least, (first, second) = min(smallest)
    counts = " or ".join(map(str, sorted({*unranked.values()})))
    return [
        f"n = {counts} ranks nothing: {first} against {second} seeds give no p below {least:.2g} (Mann-Whitney, "
        "exact), so no two methods here are shown to differ."
    ]
