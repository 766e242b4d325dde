"""Run, watch and judge one-shot neural architecture search.

The commands live in `harness/commands/`, one module each, so that this folder shows the rooms and nothing else. Users
call them by short names, `python -m harness.run` and `python -m harness.plot`: the folder of commands is on this
package's path.
"""

from pathlib import Path

__version__ = "0.1.0"

__path__.append(str(Path(__file__).parent / "commands"))
