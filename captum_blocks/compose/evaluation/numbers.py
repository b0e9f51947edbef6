"""The numbers behind a page, by content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import UnknownName
from captum_blocks.grammar import Attribution, Content, Method, parts_of, rewritten


class Numbers(dict[Content, Value]):
    """Values by content; a content that is not there is told what there is.

    What was computed by either of two methods is also there under the one that was used.

    >>> Numbers().get(None) is None
    True
    """

    def __missing__(self, content: object) -> Value:
        for held, value in self.items():
            if _as_computed(held, value) == content:
                return value
        there = "\n  ".join(map(repr, self))
        raise UnknownName(
            f"no numbers of {content!r} in this explanation. What follows a selection stands under "
            f"each of its states, or under what it picks from:\n  {there}"
        )


def settled(words: Any, shown: Iterable[Mapping[Content, Value]]) -> Any:
    """Words with the method that was used, where one of two was used for all that is shown.

    Args:
        words: an interface, or a part of one.
        shown: the values of its elements, by content.
    """
    used: dict[tuple[Any, Any], set[Method]] = {}
    for content, value in ((c, v) for held in shown for c, v in held.items()):
        for part in parts_of(content):
            if isinstance(part, Attribution) and _is_open(part.method):
                assert isinstance(part.method, Method)
                key = (part.source.layer, part.method)
                used.setdefault(key, set()).add(_used(part.method, value))

    def settle(part: Any) -> Any:
        if not isinstance(part, Attribution) or not _is_open(part.method):
            return part
        methods = used.get((part.source.layer, part.method), set())
        return replace(part, method=methods.pop()) if len(methods) == 1 else part

    return rewritten(words, settle)


def _is_open(method: Any) -> bool:
    return isinstance(method, Method) and method.otherwise is not None


def _used(method: Method, value: Value) -> Method:
    """The one of two methods that a value is by."""
    first, *second = method.choices
    return next((other for other in second if value.by == other.name), first)


def _as_computed(content: Content, value: Value) -> Content:
    """An attribution by either of two methods as one by the method that was used."""
    if not isinstance(content, Attribution) or not isinstance(content.method, Method):
        return content
    return replace(content, method=_used(content.method, value))
