"""The catalogue of recorded quantities: what each is called, how it is drawn, and how a line gives it.

The survey of runs, figures, statistics and the report page read it, and the search records by it. A probe registers the
quantities that it measures beside itself:

    register_quantity(Quantity("alpha_norm", "norm of the alphas", "Euclidean norm of all alphas together."))

What draws runs imports no probe, so that a run's `config.json` carries the entries of all its quantities that are not
built in. `to_record(names)` gives them as the value of "quantities", a list of objects:

    {
      "name": "alpha_norm",             letters, digits and underscores, beginning with a small letter
      "label": "norm of the alphas",    as on an axis, without the unit
      "meaning": "Euclidean norm of all alphas together.",
      "unit": "",                       behind the label in brackets
      "percent": false,                 true: lines hold fractions, figures show percent
      "is_error": false,                true: every line has it, and one that lacks it breaks the curve
      "first_epoch": 0,                 the first epoch that is drawn; 0 is before any training
      "panels": ["further"],            where the report page shows it, see `PANELS`; an empty list for nowhere
      "logarithmic": false,             whether the axis is, where all values are above zero
      "range": [null, null],            the values that can occur; a line with another one is damaged
      "entry": "alpha_norm"             the line's entry; the name where it is left out
    }

Only name, label and meaning need be there. Keys that a later version adds are passed over. A name that is built in
means the built-in quantity.

Half of this module is the table of the built-in quantities, which is why it is long.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from harness.records.line import EpochLine, as_number
from harness.records.run_folder import Line

ANYTIME, HESSIAN, THEORY, FACTS, FURTHER = "anytime", "hessian", "theory", "facts", "further"
PANELS = (ANYTIME, HESSIAN, THEORY, FACTS, FURTHER)
"""Where the report page shows a quantity: the two charts at its top, the charts that say why a search decays (those are
on the figure `theory`, too), the facts beside a derived cell, or a chart of its own among further ones."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Quantity:
    """Something that is recorded after every epoch, or follows from what is.

    Attributes:
        name: as files and the command line call it.
        label: as on an axis, without the unit.
        meaning: in a sentence.
        unit: behind the label in brackets; empty for none. That of a percentage need not be given.
        percent: whether it is a fraction that is shown in percent.
        is_error: whether it is an error of every epoch, so that a missing value breaks its curve. What is measured at
            some epochs only has its points joined.
        first_epoch: the first epoch that is drawn; 0 is before any training.
        panels: where the report page shows it, of `PANELS`.
        logarithmic: whether its axis is, where all values are above zero.
        range: the least and the largest value that can occur; None for no limit. A line with another one is damaged.
        entry: the line's entry that holds it; empty where it is derived.
        derived: gives it from a line, None where the line does not; None for an entry.
        heading: above a chart of its own; empty for the label.
        narrow: the label where there is little room, its lines broken; empty for the label.
    """

    name: str
    label: str
    meaning: str
    unit: str = ""
    percent: bool = False
    is_error: bool = False
    first_epoch: int = 0
    panels: tuple[str, ...] = (FURTHER,)
    logarithmic: bool = False
    range: tuple[float | None, float | None] = (None, None)
    entry: str = ""
    derived: Callable[[Line], float | None] | None = None
    heading: str = ""
    narrow: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"expected a quantity's name of small letters, digits and underscores, got {self.name!r}")
        if unknown := [panel for panel in self.panels if panel not in PANELS]:
            raise ValueError(f"quantity {self.name}: expected panels among {', '.join(PANELS)}, got {unknown[0]!r}")
        if not self.entry and self.derived is None:
            object.__setattr__(self, "entry", self.name)

    def of(self, line: Line) -> float | None:
        """Its value in a line; None where the line does not give it as a finite number."""
        value = EpochLine(line).number(self.entry) if self.derived is None else self.derived(line)
        return value if value is not None and math.isfinite(value) else None

    def damage(self, line: Line) -> str:
        """What is wrong with a line's entry, in words; empty where it is missing, null or what it should be."""
        recorded = None if self.derived is not None else line.get(self.entry)
        if recorded is None:
            return ""
        number = as_number(recorded)
        if number is None:
            return f"expected a number as {self.entry}, got {recorded!r}"
        low, high = self.range
        if (low is not None and number < low) or (high is not None and number > high):
            limits = " ".join(f"{word} {limit:g}" for word, limit in (("from", low), ("to", high)) if limit is not None)
            return f"expected {self.entry} {limits}, got {number}"
        return ""

    @property
    def axis(self) -> str:
        """The label with the unit in brackets."""
        unit = "%" if self.percent else self.unit
        return f"{self.label} ({unit})" if unit else self.label

    @property
    def factor(self) -> float:
        """What values are multiplied with on figures: 100 for percent."""
        return 100.0 if self.percent else 1.0

    def to_json(self) -> dict[str, Any]:
        """The entry in `config.json`.

        Raises:
            ValueError: it is derived, which JSON cannot say; record it as an entry of the lines instead.
        """
        if self.derived is not None:
            raise ValueError(f"quantity {self.name}: is derived by a function; record its value as an entry of lines")
        return {
            "name": self.name,
            "label": self.label,
            "meaning": self.meaning,
            "unit": self.unit,
            "percent": self.percent,
            "is_error": self.is_error,
            "first_epoch": self.first_epoch,
            "panels": list(self.panels),
            "logarithmic": self.logarithmic,
            "range": list(self.range),
            "entry": self.entry,
        }

    @classmethod
    def from_json(cls, recorded: object) -> Quantity:
        """A quantity from its entry in `config.json`.

        Raises:
            ValueError: the entry is not of the form that the module's docstring shows.
        """
        if not isinstance(recorded, Mapping):
            raise ValueError(f"expected a quantity as an object, got {recorded!r}")
        given = {key: value for key, value in recorded.items() if key in _JSON and value is not None}
        for key in ("name", "label", "meaning"):
            if key not in given:
                raise ValueError(f"expected {key} of the quantity {recorded.get('name', recorded)!r}")
        for key, value in given.items():
            # A truth value is a whole number for Python, and is none here.
            if not isinstance(value, _JSON[key]) or isinstance(value, bool) != (_JSON[key] is bool):
                raise ValueError(f"quantity {given['name']!r}: expected {key} as {_WORDS[_JSON[key]]}, got {value!r}")
        if "panels" in given:
            if not all(isinstance(panel, str) for panel in given["panels"]):
                raise ValueError(f"quantity {given['name']!r}: expected panels as names, got {given['panels']!r}")
            # A panel that a later version has is among the further ones.
            given["panels"] = tuple(dict.fromkeys(panel if panel in PANELS else FURTHER for panel in given["panels"]))
        if "range" in given:
            limits = [None if limit is None else as_number(limit) for limit in given["range"]]
            if len(limits) != 2 or any(
                limit is None and raw is not None for limit, raw in zip(limits, given["range"], strict=True)
            ):
                raise ValueError(f"quantity {given['name']!r}: expected range as two numbers or nulls")
            given["range"] = tuple(limits)
        return cls(**given)


_JSON: Mapping[str, type] = {
    "name": str,
    "label": str,
    "meaning": str,
    "unit": str,
    "percent": bool,
    "is_error": bool,
    "first_epoch": int,
    "panels": list,
    "logarithmic": bool,
    "range": list,
    "entry": str,
}
_WORDS = {str: "text", bool: "true or false", int: "a whole number", list: "a list"}
_registered: dict[str, Quantity] = {}


def register_quantity(quantity: Quantity) -> Quantity:
    """Add a quantity to the catalogue, and give it back.

    Raises:
        ValueError: the catalogue has another quantity of that name.
    """
    known = _registered.setdefault(quantity.name, quantity)
    if known != quantity:
        raise ValueError(f"quantity {quantity.name} is registered already, as {known.label!r}; choose another name")
    return quantity


def get_quantity(name: str) -> Quantity:
    """The registered quantity of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in _registered:
        raise ValueError(f"unknown quantity {name!r}; known: {', '.join(_registered)}")
    return _registered[name]


def to_record(names: Iterable[str]) -> list[dict[str, Any]]:
    """The entries for `config.json` of those of these quantities that are not built in.

    Raises:
        ValueError: one is not registered, or is derived.
    """
    return [get_quantity(name).to_json() for name in dict.fromkeys(names) if name not in BUILT_IN]


def recorded_quantities(recorded: Sequence[object]) -> tuple[Quantity, ...]:
    """The quantities that a run's `config.json` carries, the built-in ones aside.

    Raises:
        ValueError: an entry is not a quantity.
    """
    quantities = [Quantity.from_json(quantity) for quantity in recorded]
    return tuple({quantity.name: quantity for quantity in quantities if quantity.name not in BUILT_IN}.values())


def catalogue(further: Iterable[Quantity] = ()) -> dict[str, Quantity]:
    """Name -> quantity: the built-in ones, then those that runs carry; of two of one name the first."""
    known = dict(BUILT_IN)
    for quantity in further:
        known.setdefault(quantity.name, quantity)
    return known


def _derived(compute: Callable[[float, float], float], first: str, second: str) -> Callable[[Line], float | None]:
    """A quantity of two entries, where the line has both."""

    def of(line: Line) -> float | None:
        view = EpochLine(line)
        left, right = view.number(first), view.number(second)
        return None if left is None or right is None else compute(left, right)

    return of


def _supernet_error(line: Line) -> float | None:
    accuracy = EpochLine(line).number("supernet_valid_accuracy")
    return None if accuracy is None else 1 - accuracy


_SHARE = (0.0, 1.0)
_HESSIAN = "of the Hessian of the validation loss with respect to the alphas"

for _quantity in (
    Quantity(
        "test_error",
        "test error of the derived cell",
        "The table's test error of the cell that the search would return if it stopped at this epoch.",
        percent=True,
        is_error=True,
        first_epoch=1,
        panels=(ANYTIME, FACTS),
        range=_SHARE,
        heading="Anytime test error",
        narrow="test error",
    ),
    Quantity(
        "valid_error",
        "validation error of the derived cell",
        "The table's validation error of that cell.",
        percent=True,
        is_error=True,
        first_epoch=1,
        panels=(FACTS,),
        range=_SHARE,
        narrow="validation error",
    ),
    Quantity(
        "supernet_valid_error",
        "supernet's validation error",
        "What the supernet itself gets wrong on validation images, at the current mixture.",
        percent=True,
        is_error=True,
        first_epoch=1,
        panels=(FACTS,),
        derived=_supernet_error,
    ),
    Quantity(
        "spectral_norm",
        "spectral norm",
        f"Spectral norm {_HESSIAN}.",
        panels=(HESSIAN, FACTS),
        logarithmic=True,
        heading="Spectral norm of the Hessian",
    ),
    Quantity(
        "lambda_max",
        "λ max",
        f"Largest eigenvalue {_HESSIAN}.",
        panels=(HESSIAN, THEORY),
        logarithmic=True,
        heading="λ max of the Hessian",
        narrow="largest\neigenvalue",
    ),
    Quantity(
        "lambda_min",
        "λ min",
        f"Smallest eigenvalue {_HESSIAN}.",
        panels=(HESSIAN,),
        heading="λ min of the Hessian",
    ),
    Quantity(
        "trace",
        "trace",
        f"Trace {_HESSIAN}; random smoothing shrinks it (equation 6).",
        panels=(HESSIAN, THEORY),
        heading="Trace of the Hessian",
        narrow="trace of\nHessian",
    ),
    Quantity(
        "projection_gap",
        "projection gap",
        "Validation loss of the supernet at the derived cell's 0/1 mixture less that at the current mixture, with "
        "the same weights: what discretisation costs.",
        panels=(THEORY,),
        derived=_derived(lambda derived, current: derived - current, "projection_loss", "supernet_valid_loss"),
        narrow="projection\ngap",
    ),
    Quantity(
        "bound",
        "bound C",
        "Spectral norm of the Hessian with respect to the mixture, times the squared distance between the derived "
        "cell's mixture and the current one: the bound of section 4.",
        panels=(THEORY,),
        logarithmic=True,
        derived=_derived(lambda norm, distance: norm * distance, "mixture_spectral_norm", "mixture_distance"),
    ),
    Quantity(
        "entropy",
        "entropy of the mixture",
        "Mean over the mixture's rows of entropy over its largest possible value: 1 is undecided, 0 is one-hot.",
        panels=(THEORY,),
        range=_SHARE,
        narrow="entropy of\nmixture",
    ),
    Quantity(
        "parameter_free_share",
        "parameter-free operations",
        "Share of the derived cell's operations that have no parameters.",
        percent=True,
        is_error=True,
        first_epoch=1,
        panels=(),
        derived=lambda line: EpochLine(line).parameter_free,
    ),
    Quantity(
        "supernet_valid_accuracy",
        "supernet's validation accuracy",
        "Share of the validation images that the supernet classifies right at the current mixture.",
        percent=True,
        panels=(),
        range=_SHARE,
    ),
    Quantity(
        "supernet_valid_loss",
        "supernet's validation loss",
        "Mean loss of the supernet on the validation images at the current mixture.",
        panels=(),
    ),
    Quantity(
        "projection_accuracy",
        "accuracy of the projected mixture",
        "Validation accuracy of the supernet at the derived cell's 0/1 mixture, with the same weights.",
        percent=True,
        panels=(),
        range=_SHARE,
    ),
    Quantity(
        "projection_loss",
        "loss of the projected mixture",
        "Validation loss of the supernet at the derived cell's 0/1 mixture, with the same weights.",
        panels=(),
    ),
    Quantity(
        "mixture_distance",
        "squared distance to the projected mixture",
        "Squared Euclidean distance between the derived cell's 0/1 mixture and the current one.",
        panels=(),
    ),
    Quantity(
        "mixture_spectral_norm",
        "spectral norm by the mixture",
        "Spectral norm of the Hessian of the validation loss with respect to the mixture.",
        panels=(),
        logarithmic=True,
    ),
):
    register_quantity(_quantity)

BUILT_IN: Mapping[str, Quantity] = MappingProxyType(dict(_registered))
"""Name -> quantity, for those that need not stand in a run's configuration."""
