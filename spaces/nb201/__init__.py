"""NAS-Bench-201, the topology space of NATS-Bench.

A cell has four nodes and an edge from each node to every later one; each of the six edges carries one of five
operations, so that there are 15,625 architectures. Sources:

- X. Dong and Y. Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020;
- X. Dong, L. Liu, K. Musial and B. Gabrys, NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size,
  IEEE TPAMI 2021;
- their code, D-X-Y/AutoDL-Projects (MIT), which fixes strings, indices and isomorphism;
- the search of X. Chen and C.-J. Hsieh, Stabilizing Differentiable Architecture Search via Perturbation-based
  Regularization, ICML 2020: xiangning-chen/SmoothDARTS, folder `nasbench201`, which fixes the supernet.
"""

from spaces.nb201.architecture import OPERATIONS
from spaces.nb201.space import Nb201Space

SPACES = (Nb201Space(), Nb201Space("nb201_no_none", OPERATIONS[1:]))
"""What `spaces.registry` offers from this room: as published, and without `none` among the candidates."""
