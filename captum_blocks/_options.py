"""Options of the command line as they are typed."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from captum_blocks.errors import InvalidArgument

if TYPE_CHECKING:
    from captum_blocks.grammar import Method

MOST_DIGITS = 9


def method(text: str) -> Method:
    """ "LayerConductance", or with options "LayerConductance(n_steps=8)", of a known name."""
    from captum_blocks.attr import resolve_method
    from captum_blocks.grammar import Method

    name, options = _call(text)
    resolve_method(name)
    return Method(name, **options)


def _call(text: str) -> tuple[str, dict[str, Any]]:
    """A name and the plain values in the parentheses behind it: nothing is run."""
    refusal = InvalidArgument(
        f"--method {text!r}: give a name, or a name with options that are plain values, as in "
        "'LayerConductance(n_steps=8)'"
    )
    name, opened, _ = text.partition("(")
    if not opened:
        return text, {}
    try:
        parsed = ast.parse(text.strip(), mode="eval").body
        if not isinstance(parsed, ast.Call) or parsed.args:
            raise refusal
        values = {str(each.arg): ast.literal_eval(each.value) for each in parsed.keywords}
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise refusal from None
    return name.strip(), values


def class_name(wanted: str) -> int | str:
    return int(wanted) if is_number(wanted) else wanted


def is_number(text: str) -> bool:
    """Whether a text is a number of atoms: plain digits, and not endlessly many."""
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS


def parts(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def indices(text: str, size: int) -> list[int]:
    """ "all", "3", "0-15,31" as channel numbers."""
    if text == "all":
        return list(range(size))
    shown = text if len(text) <= 60 else f"{text[:60]}..."
    found: list[int] = []
    for part in parts(text, ","):
        first, dash, last = part.partition("-")
        if not is_number(first) or (dash and not is_number(last)):
            raise InvalidArgument(f"--channels {shown!r}: give all, or numbers like 0-15,31")
        start, end = int(first), int(last or first)
        if end < start:
            raise InvalidArgument(f"--channels {shown!r}: {part} runs backwards")
        if end >= size:
            raise InvalidArgument(f"--channels {shown!r}: the layer has channels 0 to {size - 1}")
        found += range(start, end + 1)
    if not found:
        raise InvalidArgument(f"--channels {shown!r}: give all, or numbers like 0-15,31")
    return list(dict.fromkeys(found))
