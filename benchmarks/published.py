"""The published code's own step, timed beside ours (`benchmarks.speed --published CHECKOUT`).

    python -m benchmarks.published CHECKOUT THREADS BATCH_SIZE

CHECKOUT is a clone of https://github.com/xiangning-chen/SmoothDARTS; nothing of it is part of this project. It runs as
it is, space 1, except that `.cuda()` does nothing, and that modules which a step does not reach (ConfigSpace, the
official API) are empty. Our packages have names that it has too, so this file imports nothing of ours.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import torch

LEARNING_RATE, EPSILON = 0.025, 0.03


class Published:
    """Its network, its two optimizers, and two batches."""

    def __init__(self, checkout: str, batch_size: int) -> None:
        _prepare(checkout)
        from attacker.perturb import Linf_PGD_alpha  # type: ignore[import-not-found]
        from nasbench_analysis.search_spaces.search_space_1 import SearchSpace1
        from optimizers.analyze import Analyzer  # type: ignore[import-not-found]
        from optimizers.darts.architect import Architect  # type: ignore[import-not-found]
        from optimizers.darts.model_search import Network  # type: ignore[import-not-found]

        torch.manual_seed(0)
        self.loss = torch.nn.CrossEntropyLoss()
        self.network: Any = Network(16, 10, 9, self.loss, output_weights=True, search_space=SearchSpace1(), steps=4)
        settings = argparse.Namespace(momentum=0.9, weight_decay=3e-4, arch_learning_rate=3e-4, arch_weight_decay=1e-3)
        self.sgd = torch.optim.SGD(self.network.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=3e-4)
        self.architect: Any = Architect(self.network, settings)
        self.analyzer: Any = Analyzer(self.network, settings)
        self.attack: Any = Linf_PGD_alpha
        self.batches = [
            (torch.randn(batch_size, 3, 32, 32), torch.randint(0, 10, (batch_size,)))
            for _ in ("training", "validation")
        ]

    def darts(self) -> None:
        """One pass of the loop of `optimizers/darts/train_search.py:267-307`."""
        self._step(attacks=False)

    def sdarts_adv(self) -> None:
        """The same with `--perturb_alpha pgd_linf`."""
        self._step(attacks=True)

    def hessian(self) -> None:
        """`optimizers/analyze.py`, row by row."""
        (training, labels), (validation, validation_labels) = self.batches
        self.analyzer.compute_Hw(training, labels, validation, validation_labels, LEARNING_RATE, self.sgd, False)

    def _step(self, attacks: bool) -> None:
        training, validation = self.batches
        self.network.train()
        self.architect.step(*training, *validation, LEARNING_RATE, self.sgd, False)
        self._clear()
        self.network.softmax_arch_parameters()
        if attacks:
            self.attack(self.network, *training, EPSILON)
            self._clear()
        loss = self.loss(self.network(training[0], updateType="weight"), training[1])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5)
        self.sgd.step()
        self.network.restore_arch_parameters()

    def _clear(self) -> None:
        self.sgd.zero_grad()
        self.architect.optimizer.zero_grad()


def _prepare(checkout: str) -> None:
    warnings.simplefilter("ignore")
    sys.path[0] = checkout
    for name in ("ConfigSpace", "nasbench", "nasbench.api", "nasbench_analysis.utils"):
        sys.modules[name] = MagicMock()
    # Networks ask a space for nothing but its class and its number of blocks.
    for index, blocks in ((1, 4), (2, 4), (3, 5)):
        name = f"nasbench_analysis.search_spaces.search_space_{index}"
        module = ModuleType(name)
        setattr(module, f"SearchSpace{index}", type(f"SearchSpace{index}", (), {"num_intermediate_nodes": blocks}))
        sys.modules[name] = module
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]


def main() -> None:
    """Answer until the input ends."""
    checkout, threads, batch_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    published = Published(checkout, batch_size)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        started, cpu = time.perf_counter(), time.process_time()
        getattr(published, line.strip())()
        answer = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
