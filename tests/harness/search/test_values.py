"""Values of settings: what each type takes, and what a mistake is told."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.search.settings import SearchConfig, default_config, resolve, setting_keys, with_setting
from harness.search.values import converted
from optimizers.config import OptimizerConfig, Range
from optimizers.registry import get_method
from spaces.registry import get_space

RATE = Annotated[float, Range(0, 10, low_open=True)]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("yes", bool, True),
        (False, bool, False),
        ("0", bool, False),
        ("1e3", int, 1000),
        (" 7 ", int, 7),
        ("9007199254740993", int, 9007199254740993),
        (4.0, int, 4),
        (".5", float, 0.5),
        (1, float, 1.0),
        ("tf32", Literal["float32", "tf32"], "tf32"),
        ("2", Literal[1, 2], 2),
        (" words ", str, "words"),
        ("none", float | None, None),
        (None, Optional[float], None),  # noqa: UP045 - so it comes from older code
        ("0.5", float | None, 0.5),
        ("1", Union[bool, int], 1),  # noqa: UP007
        (True, bool | int, True),
        ("yes", int | bool, True),
        ("auto", int | Literal["auto"], "auto"),
        ("3", Literal["auto"] | int, 3),
        ("3", int | str, 3),
        ("three", int | str, "three"),
        ("11,33", tuple[int, ...], (11, 33)),
        ("(11, 33)", tuple[int, ...], (11, 33)),
        ("", tuple[int, ...], ()),
        ([0.1, 1], tuple[float, float], (0.1, 1.0)),
        ("none", tuple[float, float] | None, None),
        ("0.9,0.999", tuple[float, float] | None, (0.9, 0.999)),
        ("10", RATE, 10.0),
        ("none", RATE | None, None),
        (3, Annotated[int, Range(1, 3)], 3),
        ("1,2", tuple[Annotated[int, Range(1)], ...], (1, 2)),
    ],
)
def test_a_value_is_read_as_its_type(value: Any, kind: Any, expected: Any) -> None:
    result = converted("key", value, kind)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("maybe", bool, "key: expected true or false, got 'maybe'"),
        ("4.5", int, "key: expected a whole number, got '4.5'"),
        (True, int, "key: expected a whole number, got True"),
        ("1e400", int, "key: expected a whole number, got '1e400'"),
        ("nan", float, "key: expected a finite number, got 'nan'"),
        ("evil", Literal["a", "b"], "key: expected one of a, b, got 'evil'"),
        ("evil", float | None, "key: expected a finite number or none, got 'evil'"),
        ("evil", int | Literal["auto"], "key: expected a whole number or one of auto, got 'evil'"),
        ("1,x", tuple[int, ...], "key: expected a list such as 1,2,3, each a whole number, got '1,x'"),
        ("1", tuple[int, int], "key: expected 2 values with commas (a whole number, a whole number), got '1'"),
        (5, tuple[int, ...], "key: expected a list such as 1,2,3, each a whole number, got 5"),
        ("-1", RATE, "key: expected a finite number above 0 up to 10, got '-1'"),
        ("0", RATE, "key: expected a finite number above 0 up to 10, got '0'"),
        ("x", RATE, "key: expected a finite number above 0 up to 10, got 'x'"),
        ("11", RATE | None, "key: expected a finite number above 0 up to 10 or none, got '11'"),
        ("100000000", Annotated[int, Range(1, 4096)], "key: expected a whole number from 1 to 4,096, got '100000000'"),
        ("1", Annotated[float, Range(0, 1, high_open=True)], "key: expected a finite number from 0 below 1, got '1'"),
        ("-1", Annotated[int, Range(0)], "key: expected a whole number from 0, got '-1'"),
        ("2", Annotated[int, Range(high=1)], "key: expected a whole number up to 1, got '2'"),
    ],
)
def test_a_mistake_is_one_line_with_what_was_expected(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        converted("key", value, kind)
    assert str(caught.value) == message


def test_a_long_value_is_not_repeated_as_a_whole() -> None:
    with pytest.raises(UserError) as caught:
        converted("key", "9" * 5000, int)
    assert len(str(caught.value)) < 120


def test_a_type_that_no_setting_has_is_the_programs_mistake() -> None:
    with pytest.raises(TypeError, match="not supported"):
        converted("key", "1", dict[str, int])


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_what_a_field_holds_is_read_back_from_its_text(value: Any) -> None:
    assert converted("key", str(value), type(value) if value is not None else None | int) == value


@dataclass(frozen=True)
class RankConfig:
    """Settings with all that the harness's own do without."""

    rungs: tuple[Annotated[int, Range(1)], ...] = (11, 33)
    rate: RATE | None = None


@dataclass(frozen=True)
class RankingConfig(OptimizerConfig):
    """Those of a method from outside."""

    rank: RankConfig = dataclasses.field(default_factory=RankConfig)


def test_settings_of_a_method_may_be_of_any_such_type() -> None:
    config = SearchConfig(method=RankingConfig(), network=get_space(1).config_class())
    config = with_setting(with_setting(config, "rank.rungs", "5,7"), "rank.rate", "2")
    assert typing.cast(Any, config.method).rank == RankConfig((5, 7), 2.0)
    with pytest.raises(UserError, match=r"rank\.rate: expected a finite number above 0 up to 10 or none, got '-1'"):
        with_setting(config, "rank.rate", "-1")


@pytest.mark.parametrize("epochs", [0, -3, 10**9])
def test_epochs_have_a_range_whoever_sets_them(epochs: int) -> None:
    for bench, asked in (({"epochs": epochs}, None), ({}, epochs)):
        with pytest.raises(UserError, match=r"epochs: expected a whole number from 1 to 100,000"):
            resolve(get_method("darts"), get_space(1), bench, {}, asked)


@pytest.mark.parametrize("method", ["darts", "gdas", "nasp", "enas", "random_ws", "pc_darts"])
@pytest.mark.parametrize("space", [1, "darts", "nb201", "toy"])
def test_every_number_among_the_settings_has_a_range(method: str, space: int | str) -> None:
    """A number without bounds reaches torch or the allocator, whose complaint names no setting."""
    config = default_config(get_method(method), get_space(space))
    unbounded = [key for key in setting_keys(config) if bounds_of(config, key) == []]
    assert unbounded == []


def bounds_of(config: SearchConfig, key: str) -> list[Range] | None:
    """The ranges of a setting that is a number; None for any other setting."""
    section, _, name = key.partition(".")
    parts = {**vars(config), **vars(config.method), **config.companions}
    kind = typing.get_type_hints(type(parts[section]), include_extras=True)[name]
    bare = typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind
    if bare not in (int, float):
        return None
    return [note for note in getattr(kind, "__metadata__", ()) if isinstance(note, Range)]
