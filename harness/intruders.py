"""Whether `spaces`, `optimizers` and `plots` are this project's own.

These names are generic: another package may be installed under one of them, and a user may have an `optimizers.py`
beside their work. Python then imports whichever it meets first, and would fail deep inside the wrong one.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

from harness.errors import UserError

COMPANION_PACKAGES = ("spaces", "optimizers", "plots")
"""The packages beside `harness`; the first line of each one's `__init__.py` holds `MARK`."""

MARK = "one-shot-nas-harness"
"""What tells our `__init__.py` from one that another package has installed over it."""


def refuse_intruders() -> None:
    """Make sure that an import of each companion package would give this project's; nothing is imported.

    Raises:
        UserError: another module would be imported instead; the message names it and its path.
    """
    home = Path(__file__).resolve().parents[1]
    for name in COMPANION_PACKAGES:
        where = _location(name)
        ours = home / name / "__init__.py"
        if where is None:
            raise UserError(f"the package {name!r} was expected in {home} and is missing; install the project again")
        if where.resolve() != ours:
            raise UserError(
                f"another {name!r} stands in the way: {where}, where this project's is {ours.parent}; "
                "remove or rename it, or run from another folder or environment"
            )
        if MARK not in ours.read_text(encoding="utf-8", errors="replace").partition("\n")[0]:
            raise UserError(
                f"another package has been installed over this project's {name!r}: {where}; "
                "use an environment without it, and install the project again"
            )


def _location(name: str) -> Path | None:
    """The file, or the folder without an `__init__.py`, that an import of a top-level module would give."""
    try:
        spec: ModuleSpec | None = find_spec(name)
    except ValueError:
        # A module without a specification, made by hand, is in no file.
        return Path(f"<{name}>")
    if spec is None:
        return None
    if spec.origin is not None:
        return Path(spec.origin)
    return Path(next(iter(spec.submodule_search_locations or ()), f"<{name}>"))
