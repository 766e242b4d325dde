"""A function of tensors that is recorded once and replayed: CUDA graphs.

A step of a search launches a few thousand small kernels, and launching them takes longer than running them. A recorded
function is one launch. It must then do the same operations on the same memory every time: what changes between calls is
copied into tensors that the function reads, and it never waits for the device. `Recorded` calls the function as it is
the first time, which sets up whatever sets itself up on first use (an optimizer's state, a library's handles), records
it the second time, and replays it from then on. On a CPU there is nothing to record, and every call is the function's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import torch

T = TypeVar("T")

_recording = threading.Lock()
"""One recording at a time in a process: they share the allocator."""


class Recorded(Generic[T]):
    """A function without arguments that reads and writes tensors of fixed places.

    Args:
        function: what to do; its results are overwritten by the next call.
        device: where it runs.
        pool: graphs with the same pool share memory, so they must not run at once nor read each other's results.
    """

    def __init__(self, function: Callable[[], T], device: torch.device, pool: GraphPool) -> None:
        self._function = function
        self._device = device
        self._pool = pool
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: list[T] = []
        self._set_up = False

    def __call__(self) -> T:
        """Do it."""
        if self._device.type != "cuda" or not self._set_up:
            self._set_up = True
            return self._function()
        if self._graph is None:
            self._graph = self._record()
        self._graph.replay()
        return self._result[0]

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with _recording:
            torch.cuda.synchronize(self._device)
            # What other threads do meanwhile is none of this recording's business.
            with torch.cuda.graph(graph, pool=self._pool.handle, stream=_stream(), capture_error_mode="thread_local"):
                self._result = [self._function()]
        return graph


class GraphPool:
    """Memory that recorded functions share which never run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self.handle = torch.cuda.graph_pool_handle() if device.type == "cuda" else None


def _stream() -> torch.cuda.Stream:
    """The stream to record on: the current one, or one of its own where that is the default stream, which cannot be."""
    current = torch.cuda.current_stream()
    if current != torch.cuda.default_stream():
        return current
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]
