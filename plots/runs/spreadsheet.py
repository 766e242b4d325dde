"""Rows of numbers and names as CSV that a spreadsheet shows and does not run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


class Rows:
    """A CSV file in the making, with lines that end in a newline alone.

    Args:
        text: where it goes.
    """

    def __init__(self, text: io.StringIO) -> None:
        self._writer = csv.writer(text, lineterminator="\n")

    def writerow(self, cells: Iterable[object]) -> None:
        """Add a row; names and labels come from files and begin with an apostrophe where they look like a formula."""
        self._writer.writerow([shown(cell) for cell in cells])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Add rows."""
        for cells in rows:
            self.writerow(cells)


def shown(cell: object) -> object:
    """A cell as it is written: text that begins like a formula, and is no number, behind an apostrophe."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
