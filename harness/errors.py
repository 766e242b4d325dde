"""What a user can mend, said in one line.

Code that finds such a mistake raises `UserError` with what was expected, what came and what to do. Commands turn it
into one line on stderr and an exit status (`harness.cli.run_command`).
"""

from __future__ import annotations

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


class UserError(Exception):
    """A mistake outside the program: one line that says what was expected, what came and what to do."""


class MissingDataError(UserError):
    """Images or a table that a command would fetch or make are not there yet; the message names the command."""


def printable(text: str) -> str:
    """The text with what steers a terminal shown, as `\\x1b`, rather than sent: a folder may have any name."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or letter in "\n\t"
        else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in text
    )
