"""What every test runs under."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

EXHAUSTIVE = ("faults", "docs", "harness/study/ray")
"""Folders of tests that try every fault, every snippet and a cluster: `make test-exhaustive` runs them."""

#: nothing of a test is kept in the cache of who runs it
os.environ["HARNESS_CACHE"] = ""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """One thread for torch, as a search has: the last bits of a result depend on their number."""
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that `make test` leaves out."""
    here = Path(__file__).parent
    for item in items:
        if any(item.path.is_relative_to(here / folder) for folder in EXHAUSTIVE):
            item.add_marker(pytest.mark.exhaustive)
