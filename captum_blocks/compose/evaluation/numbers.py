"""The numbers behind a page, by content."""

from __future__ import annotations

from dataclasses import replace

from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import UnknownName
from captum_blocks.grammar import Attribution, Content, Method


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


def _as_computed(content: Content, value: Value) -> Content:
    """An attribution by either of two methods as one by the method that was used."""
    if not isinstance(content, Attribution) or not isinstance(content.method, Method):
        return content
    first, *second = content.method.choices
    used = [other for other in second if value.by == other.name] or [first]
    return replace(content, method=used[0])
