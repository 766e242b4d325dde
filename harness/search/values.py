"""The value of a setting, from the text of `--set` or what a TOML or JSON file holds, by the type of its field.

A field is a truth value, a whole or a finite number, text, one of some choices (`Literal`), None, a tuple of these, or
any of several (`X | None`). A number may carry its `Range` (`Annotated[float, Range(0, 1)]`).

Pydantic's `TypeAdapter` was weighed: it refuses `1e3` as a whole number, its messages take several lines, which would
have to be made one again in our words, and it brings four packages of 11 MB and .1 to .3 s of import for less than half
of what stands here. tyro (.2 s) makes whole command lines of types, and reads no files.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union

from harness.errors import UserError
from optimizers.config import Range

TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

MOST_SHOWN = 60
"""Characters of a refused value that a message repeats."""


def converted(key: str, value: Any, kind: Any) -> Any:
    """The value as the type of a field.

    Args:
        key: the setting, for the message.
        value: text, or what a TOML or JSON file holds.
        kind: the type, with its metadata.

    Raises:
        UserError: it is none of that type, or out of its range; the message says what was expected.
        TypeError: settings of such a type are not supported.
    """
    try:
        return _convert(value, kind)
    except _NoSuchValueError as error:
        shown = repr(value)
        if len(shown) > MOST_SHOWN:
            shown = f"{shown[:MOST_SHOWN]}..."
        raise UserError(f"{key}: expected {error}, got {shown}") from None


class _NoSuchValueError(Exception):
    """A value is not of a type; the message says what the type takes."""


def _convert(value: Any, kind: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _in_range(value, arguments[0], [note for note in arguments[1:] if isinstance(note, Range)])
    if origin is Literal:
        return _choice(value, arguments)
    if origin in (Union, types.UnionType):
        return _any_of(value, arguments)
    if origin is tuple:
        return _tuple(value, arguments)
    if kind not in _SIMPLE:
        raise TypeError(f"settings of the type {kind} are not supported")
    return _SIMPLE[kind](value)


def _in_range(value: Any, kind: Any, ranges: Sequence[Range]) -> Any:
    expected = " ".join([_words(kind), *map(str, ranges)])
    try:
        number = _convert(value, kind)
    except _NoSuchValueError:
        raise _NoSuchValueError(expected) from None
    if any(number not in each for each in ranges):
        raise _NoSuchValueError(expected)
    return number


def _choice(value: Any, choices: Sequence[Any]) -> Any:
    for choice in choices:
        if str(value).strip() == str(choice):
            return choice
    raise _NoSuchValueError(f"one of {', '.join(map(str, choices))}")


def _any_of(value: Any, kinds: Sequence[Any]) -> Any:
    """The value as the narrowest of some types that takes it, so that `none` is None and `1` a number where both fit.

    A whole number comes before a truth value, as which `1` counts, too; what a file holds as a truth value is none.
    """
    for kind in sorted(kinds, key=_breadth):
        if isinstance(value, bool) and _bare(kind) is not bool and bool in map(_bare, kinds):
            continue
        try:
            return _convert(value, kind)
        except _NoSuchValueError:
            pass
    raise _NoSuchValueError(" or ".join(_words(kind) for kind in kinds))


def _tuple(value: Any, kinds: Sequence[Any]) -> tuple[Any, ...]:
    """A tuple from a list, or from text with commas, in brackets or not."""
    expected = _tuple_words(kinds)
    entries = value
    if isinstance(value, str):
        text = value.strip()
        if text[:1] + text[-1:] in ("()", "[]"):
            text = text[1:-1]
        entries = [part for part in text.split(",") if part.strip()]
    if not isinstance(entries, Sequence):
        raise _NoSuchValueError(expected)
    if kinds[1:] == (Ellipsis,):
        kinds = [kinds[0]] * len(entries)
    if len(entries) != len(kinds):
        raise _NoSuchValueError(expected)
    try:
        return tuple(_convert(entry, kind) for entry, kind in zip(entries, kinds, strict=True))
    except _NoSuchValueError:
        raise _NoSuchValueError(expected) from None


def _truth(value: Any) -> bool:
    try:
        return TRUTHS[str(value).strip().lower()]
    except KeyError:
        raise _NoSuchValueError(_words(bool)) from None


def _whole_number(value: Any) -> int:
    """A whole number, `1e3` among them."""
    text = str(value).strip()
    try:
        return int(text)
    except ValueError:
        pass
    number = _number_or_nan(text)
    if not number.is_integer():
        raise _NoSuchValueError(_words(int))
    return int(number)


def _number(value: Any) -> float:
    number = _number_or_nan(str(value).strip())
    if not math.isfinite(number):
        raise _NoSuchValueError(_words(float))
    return number


def _number_or_nan(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _text(value: Any) -> str:
    return str(value).strip()


def _nothing(value: Any) -> None:
    if value is not None and str(value).strip().lower() != "none":
        raise _NoSuchValueError(_words(type(None)))


_SIMPLE = {bool: _truth, int: _whole_number, float: _number, str: _text, type(None): _nothing}

_SIMPLE_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    type(None): "none",
}


def _words(kind: Any) -> str:
    """What a type takes, in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return " ".join([_words(arguments[0]), *(str(note) for note in arguments[1:] if isinstance(note, Range))])
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        return _tuple_words(arguments)
    return _SIMPLE_WORDS.get(kind, str(kind))


def _tuple_words(kinds: Sequence[Any]) -> str:
    if kinds[1:] == (Ellipsis,):
        return f"a list such as 1,2,3, each {_words(kinds[0])}"
    return f"{len(kinds)} values with commas ({', '.join(map(_words, kinds))})"


def _breadth(kind: Any) -> int:
    """Where a type stands among those of a union: the narrower, the earlier."""
    order = [type(None), Literal, int, bool, float, tuple, str]
    bare = _bare(kind)
    return order.index(bare) if bare in order else len(order)


def _bare(kind: Any) -> Any:
    """A type without metadata and without what it holds."""
    origin = typing.get_origin(kind)
    return _bare(typing.get_args(kind)[0]) if origin is Annotated else origin or kind
