"""What a user can mend, said in one line.

Code that finds such a mistake raises `UserError` with what was expected, what came and what to do; commands turn it
into one line on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from harness.records.run_folder import RunFolderError

EXIT_USER_ERROR = 2
EXIT_BROKEN_PIPE = 141


class UserError(Exception):
    """A mistake outside the program: one line that says what was expected, what came and what to do."""


def run_command(main: Callable[[], int | None]) -> int:
    """Run a command's main function and give its exit status; expected failures become one line on stderr.

    Returns:
        the function's status (None counts as 0), 2 after a `UserError`, a `RunFolderError` or a failure of the file
        system, 130 after Ctrl-C, 141 where nobody reads the output any more.
    """
    try:
        return main() or 0
    except (UserError, RunFolderError) as error:
        message = str(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # What reads our output has seen enough, as `head` does; nothing must be written when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno not in _FILE_SYSTEM_ERRORS:
            raise
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror}; what was recorded before is kept"
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_USER_ERROR


_FILE_SYSTEM_ERRORS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def positive_integer(text: str) -> int:
    """The type of an argument that is a whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return number


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, like every other mistake's."""

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as a `UserError`."""
        raise UserError(f"{message} (see {self.prog} --help)")
