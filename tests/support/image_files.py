"""Small images as files, and the digests that a data set's official files are known by."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray


def md5(content: bytes) -> str:
    """The MD5 of some bytes, as torchvision lists them."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def random_image(seed: int, height: int = 6, width: int = 5, channels: int = 3) -> NDArray[np.uint8]:
    """Pixels [height, width, channels], or [height, width] for one channel."""
    pixels = np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)
    return pixels if channels > 1 else pixels[:, :, 0]


def encode(pixels: NDArray[Any], format: str = "PNG") -> bytes:
    """An image as the bytes of a file."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format=format)
    return content.getvalue()
