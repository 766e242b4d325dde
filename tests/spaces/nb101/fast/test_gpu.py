"""The fused supernet, on a GPU."""

from __future__ import annotations

import pytest
import torch

from spaces.nb101.supernet import Supernet
from tests.support.passes import assert_same, passes

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.parametrize("channels", [3, 16])
def test_fused_supernet_equals_the_plain_one(space: int, training: bool, channels: int) -> None:
    from spaces.nb101.fast.gpu import FusedSupernet

    plain, fused = (passes(kind, space, training, channels, "cuda") for kind in (Supernet, FusedSupernet))
    assert_same(fused, plain)
