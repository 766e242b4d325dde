"""Run, watch and judge one-shot neural architecture search on NAS-Bench-1Shot1."""

__version__ = "0.1.0"
