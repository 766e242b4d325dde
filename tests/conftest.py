"""What every test runs under."""

from __future__ import annotations

import os

import pytest
import torch

#: nothing of a test is kept in the cache of who runs it
os.environ["HARNESS_CACHE"] = ""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """One thread for torch, as a search has: the last bits of a result depend on their number."""
    torch.set_num_threads(1)
