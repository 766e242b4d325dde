"""The project's pages as tests see them: their blocks, and the marks that say how each is checked.

A mark stands on the line before a block, `<!-- checked: HOW; WHY -->`. HOW is one of `WAYS`; WHY says what keeps a
block from being run as it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))

WAYS = ("as it stands", "at smoke size", "dry-run", "parsed", "not run", "read as a benchmark file", "elsewhere")
"""How a block may be checked: commands run as they stand or smaller; searches described and not run, and the arguments
of other commands read; arguments alone read; not even that; and in a test of the page's own, which WHY names."""

BLOCK = re.compile(
    r"(?:^ *<!-- checked: (?P<mark>.*?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: the page.
        number: of the block in the page, from 0.
        language: what the fence says.
        text: what is in it, without the page's indentation.
        way: one of `WAYS`, `as it stands` where nothing is said.
        reason: why it is not run as it stands.
    """

    page: Path
    number: int
    language: str
    text: str
    way: str
    reason: str

    def __str__(self) -> str:
        """For the name of a test."""
        return f"{self.page.stem}-{self.number}"

    @property
    def file(self) -> str | None:
        """The name of the file that the block shows, which its first line says; None for one that is no file."""
        first = self.text.partition("\n")[0]
        return first[2:] if re.fullmatch(r"# \w+\.(py|toml)", first) else None

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block."""
        return [line for line in self.text.splitlines() if line.strip()] if self.language == "sh" else []


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    blocks = []
    for number, found in enumerate(BLOCK.finditer(page.read_text())):
        text = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        way, _, reason = (found["mark"] or "as it stands").partition("; ")
        blocks.append(Block(page, number, found["language"], text, way, reason))
    return blocks
