"""Whether a value is what a field of a word says it holds, judged by the field's annotation."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def hints_of(word: type, words: Mapping[str, Any]) -> dict[str, Any]:
    """What each field of a word may hold.

    Args:
        word: a dataclass.
        words: further names that its annotations may use.

    Returns:
        Annotations by field; none where a word of somebody else has annotations that cannot be
        read.

    >>> from captum_blocks.grammar import Given
    >>> hints_of(Given, {})
    {'name': <class 'str'>}
    """
    try:
        return get_type_hints(word, localns=dict(words))
    except (NameError, TypeError, AttributeError):
        return {}


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type; a truth value is no number, a whole number is one.

    >>> fits((1, 2), tuple[int, ...]), fits(True, int), fits(1, float | None), fits("b", str)
    (True, False, True, True)
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is tuple:
        return isinstance(value, tuple) and _each_fits(value, parts)
    if hint is None or hint is NoneType:
        return value is None
    if hint in (int, float):
        return type(value) is int or (hint is float and type(value) is float)
    plain = origin or hint
    return isinstance(value, plain) if isinstance(plain, type) and plain is not Any else True


def _each_fits(value: tuple[Any, ...], parts: tuple[Any, ...]) -> bool:
    if len(parts) == 2 and parts[1] is Ellipsis:
        return all(fits(item, parts[0]) for item in value)
    return len(value) == len(parts) and all(map(fits, value, parts))
