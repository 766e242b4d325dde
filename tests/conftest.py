"""What every test runs under."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """One thread for torch, as a search has: the last bits of a result depend on their number."""
    torch.set_num_threads(1)
