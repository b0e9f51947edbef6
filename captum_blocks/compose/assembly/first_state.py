"""The selections of a page by name, and the state in which each of them opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from captum_blocks.grammar import Selection
from captum_blocks.scene import Panel, first_frame, marks_in
from captum_blocks.scene import Selection as SceneSelection


class Selections:
    """Selections of the grammar as those of a scene: one name each, whoever follows or sets it.

    Attributes:
        made: by name, in the order in which they were met.
        pictured: name of the selection of a photograph, where there are several.

    >>> selections = Selections()
    >>> selections.name(Selection("hover", "group"), "bn2")
    'hover-group-bn2'
    """

    def __init__(self) -> None:
        self.made: dict[str, SceneSelection] = {}
        self.pictured: str | None = None
        self._followed: set[str] = set()
        self._words: dict[str, Selection] = {}

    def name(self, word: Selection, place: str) -> str:
        """One name a selection and place; unequal selections never share it."""
        plain = f"{prefixed(word)}{word.gesture}-{word.atom}" + (f"-{place}" if place else "")
        name, number = plain, 1
        while self._words.setdefault(name, word) != word:
            number += 1
            name = f"{plain}-{number}"
        return name

    def follow(self, made: SceneSelection) -> str:
        """A panel follows it: the first one decides the state it opens in."""
        if made.atom == "image":
            self.pictured = made.name
        if made.name not in self._followed:
            self._followed.add(made.name)
            self.made[made.name] = made
        return made.name

    def point(self, made: SceneSelection) -> str:
        """A panel sets or marks it: it decides where no panel follows."""
        if made.name not in self._followed:
            self.made[made.name] = made
        return made.name

    def keys(self, name: str) -> tuple[str, ...]:
        """The states that a selection is known to have."""
        return self.made[name].keys if name in self.made else ()

    def open_alike(self, names: Sequence[str]) -> None:
        """Let what one panel sets start in one state: where the first of these selections does."""
        if not names:
            return
        first, *others = (self.made[name] for name in names)
        opened = first.keys[first.default]
        for other in others:
            word = self._words.get(other.name)
            told = word is not None and word.start is not None
            if (other.atom, other.grid) == (first.atom, first.grid) and not told:
                self._open(other, opened)

    def open_on_what_is_shown(self, panels: Sequence[Panel]) -> None:
        """Let what panels of changing marks set start with a mark that they show at first.

        The page does so whenever the reader changes the marks; figures show the start.
        """
        for _ in self.made:  # what one shows may follow another
            for selection in list(self.made.values()):
                shown = self._shown_at_first(selection, panels)
                if shown and selection.keys[selection.default] not in shown:
                    self._open(selection, *shown)

    def _shown_at_first(self, selection: SceneSelection, panels: Sequence[Panel]) -> list[str]:
        """Keys and names of the marks on which a selection that follows others is pointed at."""
        if selection.gesture not in ("hover", "click") or selection.grid is not None:
            return []
        changing = [
            panel
            for panel in panels
            if selection.name in panel.sets
            and panel.follows
            and selection.name not in panel.follows
        ]
        marks = [
            mark
            for panel in changing
            for mark in marks_in(panel.frames[first_frame(panel, self.made)])  # type: ignore[attr-defined]
        ]
        return [words for mark in marks for words in (mark.key, mark.label)]

    def _open(self, selection: SceneSelection, *keys: str) -> None:
        """Let a selection start in the first of these states that it has."""
        found = [selection.keys.index(key) for key in keys if key in selection.keys]
        if found:
            self.made[selection.name] = replace(selection, default=found[0])


def prefixed(word: Selection) -> str:
    """What tells two selections of one kind apart.

    >>> prefixed(Selection("hover", "group", "my own"))
    'my-own-'
    """
    return f"{word.name.replace(' ', '-')}-" if word.name else ""
