"""`python -m harness.study`: the command has the room's name, so that the room passes it on to the door."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("harness.commands.study", run_name="__main__")
