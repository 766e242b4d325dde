"""One run folder read: its configuration and what its lines hold, refused where either is not what it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import UserError
from harness.records.catalogue import Quantity, catalogue
from harness.records.config import Config, differing, read_config
from harness.records.line import DIVERGED
from harness.records.run_folder import Line, RunFolder, RunFolderError, SpaceLabel
from harness.records.skimming import epochs_without_alphas
from plots.runs.columns import NUMBERS
from plots.runs.records import Run

Key = tuple[str, SpaceLabel, str, str]
"""Benchmark, space, table and scale: what runs must share to be compared."""


@dataclass(frozen=True)
class Entry:
    """A run and its configuration."""

    run: Run
    config: Config

    @property
    def key(self) -> Key:
        """What runs must share to be compared."""
        return self.config.bench, self.config.space, self.config.table_identity, self.config.scale or ""

    @property
    def settings(self) -> dict[str, Any]:
        """What seeds of one method must share besides; whether the Hessian by the mixture was measured is not of it."""
        settings = self.config.settings
        if isinstance(hessian := settings.get("hessian"), dict):
            settings["hessian"] = {key: value for key, value in hessian.items() if key != "mixture"}
        return settings

    def is_at_odds(self, other: Entry) -> bool:
        """Whether both cannot be seeds of one method."""
        return self.config.epochs != other.config.epochs or any(differing(self.settings, other.settings))


def read_entry(folder: RunFolder) -> Entry:
    """One run with its configuration; the checksums of its lines are verified.

    Raises:
        RunFolderError: it is torn or has diverged, or holds what no search records.
        UserError: its lines are of another table or scale than its configuration.
        OSError: a file cannot be read.
    """
    config = read_config(folder)
    lines = epochs_without_alphas(folder)
    _refuse_other_conditions(folder, config, lines)
    if lines and (what := lines[-1].get(DIVERGED)):
        raise RunFolderError(f"{folder.path}: diverged ({what})")
    for quantity in catalogue(config.quantities).values():
        _refuse_damage(folder, quantity, lines)
    try:
        return Entry(Run.of_lines(folder.path, config.seed, config.epochs, lines), config)
    except ValueError as error:
        raise RunFolderError(f"{folder.path}: a line is {error}; move the folder away") from None


def _refuse_other_conditions(folder: RunFolder, config: Config, lines: Sequence[Line]) -> None:
    """Refuse lines of another table or scale than the configuration names.

    Raises:
        UserError: a line is.
    """
    for line in lines:
        for key, expected in (("table", config.table), ("scale", config.scale)):
            if line.get(key, expected) != expected:
                raise UserError(
                    f"{folder.path}: epoch {line['epoch']} was recorded with {key} {line[key]!r}, config.json says "
                    f"{expected!r}; move the folder away and run the seed again"
                )


def _refuse_damage(folder: RunFolder, quantity: Quantity, lines: Sequence[Line]) -> None:
    """Refuse lines that hold something else than a number that the quantity can have.

    Raises:
        RunFolderError: a line does; the first one is named.
    """
    if quantity.derived is not None or _is_sound(quantity, [line.get(quantity.entry) for line in lines]):
        return
    for epoch, line in enumerate(lines):
        if damage := quantity.damage(line):
            raise RunFolderError(f"{folder.path}: epoch {epoch}: {damage}")


def _is_sound(quantity: Quantity, recorded: Sequence[Any]) -> bool:
    """Whether values are null or numbers within the quantity's range; False, too, where that needs a closer look."""
    if not set(map(type, recorded)) <= {*NUMBERS, type(None)}:
        return False
    values = [value for value in recorded if value is not None]
    low, high = quantity.range
    return not values or ((low is None or min(values) >= low) and (high is None or max(values) <= high))
