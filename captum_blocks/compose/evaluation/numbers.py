"""The numbers behind a page, by content."""

from __future__ import annotations

from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import UnknownName
from captum_blocks.grammar import Content


class Numbers(dict[Content, Value]):
    """Values by content; a content that is not there is told what there is.

    >>> Numbers().get(None) is None
    True
    """

    def __missing__(self, content: object) -> Value:
        there = "\n  ".join(map(repr, self))
        raise UnknownName(
            f"no numbers of {content!r} in this explanation. What follows a selection stands under "
            f"each of its states, or under what it picks from:\n  {there}"
        )
