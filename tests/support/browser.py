"""A headless Chromium for tests; those that need it skip, with the reason, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: names that Chromium is installed under
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Any]:
    """A Playwright browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra `dev`)")
    with playwright.sync_playwright() as started:
        found = next(filter(None, map(shutil.which, COMMANDS)), None)
        if found is None and not Path(started.chromium.executable_path).exists():
            pytest.skip("needs Chromium: install Debian's `chromium`, or run `playwright install chromium`")
        # Its sandbox does not start for root, as which containers run.
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
