"""What a user asks to be run, as a command line or a notebook puts it; nothing in it needs torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """One search with some seeds.

    Attributes:
        bench: name or TOML path of the benchmark.
        space: number or name of the search space.
        optimizer: name of the method.
        seeds: seeds to run.
        epochs: epochs asked for; None for the benchmark's.
        results: results folder.
        device: auto, cpu or cuda.
        overrides: settings by dotted key, as text.
        name: name of the variant, or None.
        workers: seeds side by side; None for one a core, or one on a GPU.
        threads: CPU threads of each seed.
        table_backend: index, or nasbench for the official API.
        judge: name of what says how good an architecture is; None for the benchmark's own.
        judge_every: epochs between judgements, where a judgement takes long.
        imports: modules to import first, which register companions, probes, spaces or data sets.
        keep: epochs whose checkpoints are kept.
        command: the command line, for `env.json`.
    """

    bench: str
    space: int | str
    optimizer: str
    seeds: Sequence[int]
    epochs: int | None = None
    results: Path = Path("results")
    device: str = "auto"
    overrides: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    workers: int | None = None
    threads: int = 1
    table_backend: str = "index"
    judge: str | None = None
    judge_every: int = 10
    imports: Sequence[str] = ()
    keep: Sequence[int] = ()
    command: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """What JSON holds of it: lists for sequences, text for the path."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**{key: _plain(value) for key, value in fields.items()}, "results": str(self.results)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Request:
        """The request that `to_json` wrote."""
        return cls(**{**content, "results": Path(content["results"])})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
