"""What a user asks to be run, as a command line or a notebook puts it; nothing in it needs torch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError

MOST_SEEDS = 100_000


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


def parse_seeds(text: str, where: str = "--seeds") -> list[int]:
    """`6` means the seeds 0 to 5; `2-4` means 2 to 4, `3,5,7` those, `0-2,7` both, and `3,` the seed 3 alone.

    Args:
        text: the seeds.
        where: where they were given, for the message.

    Raises:
        UserError: not of that form, none at all, more than `MOST_SEEDS`, or one twice.
    """
    form = f"{where}: expected a number of seeds such as 6, a range such as 2-4, or a list such as 3,5,7"
    parts = [part.strip() for part in text.split(",") if part.strip()]
    shown = repr(text if len(text) <= 60 else f"{text[:60]}...")
    ranges = []
    for part in parts:
        matched = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part, re.ASCII)
        if not matched:
            raise UserError(f"{form}; whole numbers from 0, got {shown}")
        first = int(matched[1])
        ranges.append(range(first, int(matched[2] or first) + 1))
    if "," not in text and "-" not in text and ranges:
        ranges = [range(ranges[0].start)]
    count = sum(map(len, ranges))
    if not ranges or not all(map(len, ranges)):
        raise UserError(f"{form}; at least one seed, got {shown}")
    if count > MOST_SEEDS:
        raise UserError(f"{form}; at most {MOST_SEEDS:,}, got {count:,}")
    seeds = [seed for each in ranges for seed in each]
    if len(set(seeds)) != len(seeds):
        raise UserError(f"{form}; each once, got {shown}")
    return seeds


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
