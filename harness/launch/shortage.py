"""Telling that memory ran out from every other failure, without importing torch."""

from __future__ import annotations

_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
"""What torch's and the system's allocators say, in small letters."""

REMEDY = "take a smaller data.batch_size or network.channels (--set), or fewer --workers side by side"


def shortage(error: BaseException) -> str | None:
    """One line for a failure for want of memory, of the GPU's or the machine's; None for any other failure."""
    said = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"the machine's memory does not suffice ({said or 'MemoryError'}); {REMEDY}"
    # torch raises its own class on a GPU, and a plain RuntimeError on a CPU.
    if isinstance(error, RuntimeError) and any(words in said.lower() for words in _WORDS):
        where = "GPU's" if type(error).__name__ == "OutOfMemoryError" or "CUDA" in said else "machine's"
        return f"the {where} memory does not suffice ({said.partition('. ')[0][:160]}); {REMEDY}"
    return None
