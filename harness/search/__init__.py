"""One search: its settings, its steps, the loop over epochs, and what it measures and keeps.

Called as a function, this package is `harness.api.search`, so that `from harness import search` gives what a notebook
runs. Python itself binds a package's name in its parent as soon as any module in it is imported, over whatever stood
there; a function of the same name would be lost with the first search.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallableRoom(ModuleType):
    """This package as a module that can be called."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Search a space with a method; `harness.api.search` says what it takes and returns."""
        return import_module("harness.api").search(*arguments, **options)


sys.modules[__name__].__class__ = _CallableRoom
