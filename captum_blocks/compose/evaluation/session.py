"""Everything that is known of what is asked about: one look a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from captum_blocks.compose.evaluation.looking import Looking
from captum_blocks.compose.evaluation.question import Place, Question
from captum_blocks.errors import InvalidArgument, UnknownName, did_you_mean
from captum_blocks.grammar import (
    Given,
    Hidden,
    Input,
    Out,
    parts_of,
)


class Session:
    """Networks looking at pictures: what one evaluation knows.

    Args:
        question: what is asked about.
        words: what will be evaluated: decides which layers the one forward pass records.
    """

    def __init__(self, question: Question, words: Iterable[Any]) -> None:
        self.question = question
        layers: dict[str | None, set[str]] = {name: set() for name in question.networks}
        for part in (part for word in words for part in parts_of(word)):
            if isinstance(part, (Hidden, Input, Out)):
                of = layers[question.named(part)]
                of |= {part.layer} if isinstance(part, Hidden) else set()
        self._looks = {
            name: Looking(net, question.inputs[name], question.given, layers[name])
            for name, net in question.networks.items()
        }
        images = len(self.main.x)
        self.names = question.photographs or tuple(str(i) for i in range(images))
        self._memo: dict[Any, Any] = {}

    @property
    def main(self) -> Looking:
        """The look of the only network, or of the first."""
        return next(iter(self._looks.values()))

    def of(self, place: Place) -> Looking:
        """The look that a layer belongs to."""
        return self._looks[self.question.named(place)]

    def notes(self, word: Any) -> tuple[str, ...]:
        """What the reader has to know of the passes that a content's numbers come from."""
        layers: dict[str | None, set[str]] = {}
        for part in parts_of(word):
            if isinstance(part, (Hidden, Input, Out)):
                of = layers.setdefault(self.question.named(part), set())
                of |= {part.layer} if isinstance(part, Hidden) else set()
        said = (self._looks[name].notes(of) for name, of in layers.items())
        return tuple(dict.fromkeys(note for notes in said for note in notes))

    def image(self, named: Any) -> int:
        """The place of a photograph, by place or name.

        Raises:
            UnknownName, InvalidArgument: there is none.
        """
        if isinstance(named, str):
            if named not in self.names:
                hint = did_you_mean(named, self.names) or f"; there are {', '.join(self.names)}"
                raise UnknownName(f"no photograph {named!r}{hint}")
            return self.names.index(named)
        if not 0 <= named < len(self.names):
            raise InvalidArgument(
                f"image={named}: photographs are counted from 0 to {len(self.names) - 1}"
            )
        return int(named)

    def object(self, word: Given) -> Any:
        """The object a ``Given`` names."""
        return self.question.given[word.name]

    def once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """What was computed under a key, computed where it is asked for first."""
        if key not in self._memo:
            self._memo[key] = compute()
        return self._memo[key]
