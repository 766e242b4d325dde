"""How a method is drawn: a colour, a line and a marker, by its name alone.

A method therefore looks the same on every figure and on the report page, whatever else is drawn, and one that is not
known here gets a look of its own. No two known methods share a colour, and two that share a line differ in grey print
and for readers who see no red or no green. The colours of the paper's methods are of seaborn's `colorblind` palette;
the others were chosen as far from them and from each other as they go.
"""

from __future__ import annotations

import colorsys
import functools
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Dashes = tuple[int, tuple[float, ...]]

_SOLID: Dashes = (0, ())
_DASHED: Dashes = (0, (4, 1.5))
_DASH_DOT: Dashes = (0, (5, 1.3, 1, 1.3))
_DOTTED: Dashes = (0, (1, 1))
_LONG: Dashes = (0, (9, 2))
_DASH_DOT_DOT: Dashes = (0, (5, 1.3, 1, 1.3, 1, 1.3))
_SHORT: Dashes = (0, (2.2, 1.1))
_SPARSE: Dashes = (0, (1, 2.2))
_LONG_SHORT: Dashes = (0, (8, 1.5, 2.5, 1.5))


@dataclass(frozen=True)
class Look:
    """How one method is drawn.

    Attributes:
        label: its name as the literature writes it.
        colour: "#rrggbb".
        dashes: offset and on-off lengths in line widths; empty is solid.
        marker: matplotlib's letter.
        hollow: whether the marker is drawn as an outline.
    """

    label: str
    colour: str
    dashes: Dashes
    marker: str
    hollow: bool = False

    @property
    def line(self) -> dict[str, Any]:
        """The mean curve's properties, for `Axes.plot`."""
        return {
            "color": self.colour,
            "linestyle": self.dashes,
            "marker": self.marker,
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markeredgecolor": self.colour,
        }


_KNOWN = {
    "darts": Look("DARTS", "#d55e00", _SOLID, "o"),
    "darts_2nd": Look("DARTS (2nd order)", "#a50051", _LONG, "o", hollow=True),
    "sdarts_rs": Look("SDARTS-RS", "#0173b2", _DASHED, "s"),
    "sdarts_adv": Look("SDARTS-ADV", "#029e73", _DASH_DOT, "^"),
    "sdarts_gauss": Look("SDARTS-Gauss", "#00c9b4", _LONG_SHORT, "H"),
    "pc_darts": Look("PC-DARTS", "#de8f05", _DOTTED, "D"),
    "gdas": Look("GDAS", "#cc78bc", _LONG, "v"),
    "nasp": Look("NASP", "#9e5500", _DASH_DOT_DOT, "<"),
    "enas": Look("ENAS", "#56b4e9", _SHORT, ">"),
    "random_ws": Look("Random search (WS)", "#949494", _SPARSE, "x"),
    "hessian_reg": Look("Hessian reg.", "#000000", _LONG_SHORT, "P"),
    "darts_es": Look("DARTS-ES", "#ff4d6b", _DASH_DOT_DOT, "h"),
    "r_darts_l2": Look("R-DARTS (L2)", "#836dff", _LONG_SHORT, "p"),
    "r_darts_dp": Look("R-DARTS (DP)", "#0016ff", _SHORT, "d"),
    "pc_darts_rs": Look("PC-DARTS-RS", "#664b00", _DOTTED, "s", hollow=True),
    "pc_darts_adv": Look("PC-DARTS-ADV", "#6ad335", _DASH_DOT, "^", hollow=True),
    "gdas_rs": Look("GDAS-RS", "#6b00cc", _SPARSE, "s", hollow=True),
    "gdas_adv": Look("GDAS-ADV", "#683389", _DASH_DOT, "v", hollow=True),
    "nasp_rs": Look("NASP-RS", "#455361", _SOLID, "<", hollow=True),
    "nasp_adv": Look("NASP-ADV", "#8e5e83", _DOTTED, ">", hollow=True),
}
_BLACK_BOX = {
    "random_search": Look("Random search", "#555555", _SPARSE, "x"),
    "regularised_evolution": Look("Regularised evolution", "#b8860b", _SOLID, "*"),
    "reinforce": Look("REINFORCE", "#00a5c8", _DASHED, "d", hollow=True),
    "tpe": Look("TPE", "#7a3db8", _DASH_DOT, "X"),
    "smac": Look("SMAC", "#c0392b", _LONG, "p", hollow=True),
}
"""Black-box methods, which stand on figures of their own or beside a few one-shot ones."""

KNOWN_METHODS = tuple(_KNOWN)
"""The methods whose look was chosen by hand, in the order they are drawn in."""

_OTHER_DASHES = (_SOLID, _DASHED, _DASH_DOT, _DOTTED, _LONG, _DASH_DOT_DOT, _SPARSE)
_OTHER_MARKERS = (("*", False), ("*", True), ("X", False), ("X", True), ("P", True), ("D", True))
_APART = 0.06
"""How far, in OKLab, a colour from a name's hash keeps from those of the known methods; .02 is just seen."""
_KIN = (0.05, 0.14)
"""How far, in OKLab, the colour of a variant is from its method's, where that has any hue."""
_TRIES = 400


@functools.cache
def look(method: str) -> Look:
    """How a method is drawn; `X@NAME` has a colour near that of X and its own line, an unknown name a look by its hash.

    Two names that are not known can come out alike by chance, though never the same.
    """
    optimizer, _, name = method.partition("@")
    plain = _KNOWN.get(optimizer) or _BLACK_BOX.get(optimizer) or _look_from_hash(optimizer)
    if not name:
        return plain
    dashes = [dashes for dashes in _OTHER_DASHES if dashes != plain.dashes]
    marker, hollow = _OTHER_MARKERS[_hash(name, "marker") % len(_OTHER_MARKERS)]
    return Look(
        label=f"{plain.label} @{literal(name)}",
        colour=_colour_from_hash(method, near=plain.colour),
        dashes=dashes[_hash(name, "line") % len(dashes)],
        marker=marker,
        hollow=hollow,
    )


def drawing_order(method: str) -> tuple[int, str]:
    """Sorts methods: those of the literature in their usual order, then others by name, variants after their base."""
    optimizer = method.partition("@")[0]
    return (KNOWN_METHODS.index(optimizer) if optimizer in _KNOWN else len(_KNOWN), method)


def literal(text: str) -> str:
    """Keep matplotlib from reading mathematics into a name."""
    return text.replace("$", r"\$")


def oklab(colour: str) -> Array:
    """Lightness (0 to 1) and two opponent axes of "#rrggbb", in which distances are about as they are seen.

    Source: Ottosson, "A perceptual color space for image processing" (2020).
    """
    encoded = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.asarray(_CONES_TO_OKLAB @ np.cbrt(_LINEAR_TO_CONES @ linear), dtype=np.float64)


_LINEAR_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_CONES_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _look_from_hash(name: str) -> Look:
    marker, hollow = _OTHER_MARKERS[_hash(name, "marker") % len(_OTHER_MARKERS)]
    return Look(
        label=literal(name),
        colour=_colour_from_hash(name),
        dashes=_OTHER_DASHES[_hash(name, "line") % len(_OTHER_DASHES)],
        marker=marker,
        hollow=hollow,
    )


def _colour_from_hash(name: str, near: str | None = None) -> str:
    """A colour by name alone that is seen on white and on dark pages and keeps away from those of the known methods.

    Args:
        name: of the method.
        near: the colour that it is akin to, as a variant's is to its method's; None for none.
    """
    known = [oklab(known_look.colour) for known_look in _KNOWN.values() if known_look.colour != near]
    kin = None if near is None else oklab(near)
    best, farthest = "", -1.0
    for colour in itertools.islice(_candidates(name), _TRIES):
        place = oklab(colour)
        if not 0.42 <= place[0] <= 0.76:
            continue
        if kin is not None and not _KIN[0] <= np.linalg.norm(place - kin) <= _KIN[1]:
            continue
        distance = min(float(np.linalg.norm(place - other)) for other in known)
        if distance >= _APART:
            return colour
        if distance > farthest:
            best, farthest = colour, distance
    return best or _colour_from_hash(name)


def _candidates(name: str) -> Iterator[str]:
    """Colours in an order that is the name's own."""
    for number in itertools.count():
        drawn = _hash(name, f"colour {number}")
        hue, lightness, saturation = (drawn >> shift & 0xFFFF for shift in (0, 16, 32))
        red, green, blue = colorsys.hls_to_rgb(
            hue / 0xFFFF, 0.2 + 0.5 * lightness / 0xFFFF, 0.35 + 0.65 * saturation / 0xFFFF
        )
        yield f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _hash(name: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}:{name}".encode()).digest()[:8], "big")
