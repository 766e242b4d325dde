"""Cells named in a file, one a line, for a table of chosen cells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError

if TYPE_CHECKING:
    from spaces.nb101.cell import Cell
    from spaces.nb101.space import SearchSpace

_HASH = re.compile(r"[0-9a-f]{32}")


def read_cells(path: Path, space: SearchSpace) -> list[Cell]:
    """The different cells that a file names, in the order of their first line.

    A line is the hash of a cell of `space`, or a JSON object with `matrix` and `ops`, of whatever space; its other keys
    are passed over, so that the epochs of a run's record may be given as they are. Empty lines are skipped.

    Raises:
        UserError: a line is neither, names a cell that does not exist, or the file names none.
        OSError: the file cannot be read.
    """
    cells: dict[str, Cell] = {}
    known: dict[str, Cell] = {}
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected lines of text, a cell each, got other bytes") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if _HASH.fullmatch(line.strip()):
            known = known or {cell.hash: cell for cell in space.cells()}
            cell = known.get(line.strip())
            if cell is None:
                raise UserError(f"{path}:{number}: no cell of space {space.number} has the hash {line.strip()}")
        else:
            cell = _described_cell(line, f"{path}:{number}")
        cells.setdefault(cell.hash, cell)
    if not cells:
        raise UserError(f"{path}: names no cell; expected a hash, or a JSON object with matrix and ops, a line")
    return list(cells.values())


def _described_cell(line: str, where: str) -> Cell:
    from spaces.nb101.cell import Cell, InvalidCell

    try:
        content = json.loads(line)
        return Cell(content["matrix"], content["ops"])
    except InvalidCell as error:
        raise UserError(f"{where}: {error}") from None
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{where}: expected a hash of 32 digits, or a JSON object with matrix and ops, got {line[:60]!r}"
        ) from None
