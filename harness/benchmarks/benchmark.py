"""What a benchmark is: images, a scale and a judge under one name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from harness.data.registry import ImageSource
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.data.arrays import ImageArrays
    from harness.judges.base import Judge
    from harness.tables.query import Table

SpaceLabel: TypeAlias = int | str
"""What records call a space (`spaces.base.Space.label`): its number, if it has one, or its name."""

JUDGE_KINDS = ("table", "train", "none")
"""What `[judge] kind` of a benchmark file and `--judge` take."""


@dataclass(frozen=True)
class SpaceScale:
    """What a benchmark says of one space alone.

    Attributes:
        settings: by dotted key; they override those of the benchmark.
        judge: one of `JUDGE_KINDS`; None for the benchmark's.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    judge: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """What a search is run on and judged by.

    Attributes:
        name: stands in every epoch line, in the folder's path and on every figure.
        summary: one line for `--bench list`.
        source: where its images come from.
        scale: its own settings, by dotted key; they override the published protocol.
        open_table: opens the table of a space; None where the benchmark has no table at all.
        table_spaces: the spaces that `open_table` has a table of.
        scaling: what of the benchmark is smaller than its name says, for every line and figure; empty for nothing.
        table_kind: where the numbers of a table that is not official come from, a `harness.judges.base.JudgeKind`.
        default_judge: one of `JUDGE_KINDS`, what judges its searches unless something else is asked for.
        recipe: how its architectures are trained from scratch, fields of `harness.judges.recipe.TrainRecipe`.
        spaces: what it says of single spaces.
        black_box: settings of black-box methods that suit it, by dotted key; they override the methods' own.
    """

    name: str
    summary: str
    source: ImageSource
    scale: Mapping[str, Any] = field(default_factory=dict)
    open_table: Callable[[SpaceLabel], Table] | None = None
    table_spaces: tuple[SpaceLabel, ...] = ()
    table_kind: str | None = None
    scaling: str = ""
    default_judge: str = "table"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    spaces: Mapping[SpaceLabel, SpaceScale] = field(default_factory=dict)
    black_box: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings in every space, by dotted key: those of the data set, overridden by the benchmark's own."""
        return {**self.source.settings(), **self.scale}

    def settings_in(self, space: SpaceLabel) -> dict[str, Any]:
        """`settings`, overridden by what the benchmark says of this space."""
        own = self.spaces.get(space)
        return {**self.settings, **(own.settings if own else {})}

    def images(self) -> ImageArrays:
        """Load the images.

        Raises:
            UserError: they are missing or damaged.
        """
        return self.source.images()

    def table(self, space: SpaceLabel) -> Table:
        """Open the table of a space.

        Raises:
            UserError: the benchmark has none of this space, or it cannot be read.
        """
        if self.open_table is None:
            raise UserError(
                f"{self.name} has no table; train architectures (--judge train) or search without errors "
                "(--judge none), or name an index under [table] path of its file"
            )
        if space not in self.table_spaces:
            raise UserError(
                f"{self.name} has no table of space {space}, only of space {', '.join(map(str, self.table_spaces))}; "
                "use one of these with --space, or --judge train or none. (`python -m harness.tabulate` measures "
                "tables of NAS-Bench-1Shot1's spaces)"
            )
        return self.open_table(space)

    def judge_in(self, space: SpaceLabel) -> str:
        """The kind of judge in a space where nothing else is asked for, one of `JUDGE_KINDS`.

        A table judges the spaces that it holds; in others nothing does, unless the benchmark says so.
        """
        own = self.spaces.get(space)
        if own and own.judge:
            return own.judge
        return "none" if self.default_judge == "table" and space not in self.table_spaces else self.default_judge

    def judge(self, space: Any, choice: str | None = None, **options: Any) -> Judge:
        """The judge of a search.

        Args:
            space: of the search, a `spaces.base.Space`.
            choice: one of `JUDGE_KINDS`; None for the benchmark's.
            **options: fields of `harness.judges.registry.JudgeOptions` beside the benchmark's recipe and kind of table.

        Raises:
            UserError: there is no such judge, or what it needs is missing.
        """
        # The judges read tables and train networks; a benchmark that is only named imports none of that.
        judges = importlib.import_module("harness.judges.registry")
        chosen = judges.JudgeOptions(recipe=self.train_recipe(), table_kind=self.table_kind, **options)
        return cast("Judge", judges.get_judge(choice or self.judge_in(space.label), self, space, chosen))

    def train_recipe(self) -> Any:
        recipe_class = importlib.import_module("harness.judges.recipe").TrainRecipe
        known = {part.name for part in fields(recipe_class)}
        if unknown := sorted(set(self.recipe) - known):
            raise UserError(
                f"{self.summary}: unknown key in [judge.recipe]: {', '.join(unknown)}; "
                f"known: {', '.join(sorted(known))}"
            )
        for key, value in self.recipe.items():
            if not isinstance(value, int | float):
                raise UserError(
                    f"{self.summary}: expected [judge.recipe] {key} to be a number, true or false, got {value!r}"
                )
        return recipe_class(**self.recipe)
