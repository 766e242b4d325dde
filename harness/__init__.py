"""Run, watch and judge one-shot neural architecture search.

The commands live in `harness/commands/`, one module each, so that this folder shows the rooms and nothing else. Users
call them by short names, `python -m harness.run` and `python -m harness.plot`: the folder of commands is on this
package's path.

From a notebook, `from harness import search, load_runs` gives the functions of `harness.api`. Both are imported when
they are first asked for; `import harness` alone imports nothing else.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import load_runs, search

__all__ = ["__version__", "load_runs", "search"]

__version__ = "0.1.0"

__path__.append(str(Path(__file__).parent / "commands"))


def __getattr__(name: str) -> Any:
    """`load_runs` and `search`, where they are asked for; `search` is the room of that name, which can be called."""
    if name == "load_runs":
        return import_module("harness.api").load_runs
    if name == "search":
        return import_module("harness.search")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
