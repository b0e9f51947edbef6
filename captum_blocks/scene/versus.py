"""Rows with one bar each: what an atom did to one answer rather than to another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from captum_blocks.errors import InvalidArgument
from captum_blocks.scene.panels import Bars, Mark, Panel
from captum_blocks.scene.switched import Switched


@dataclass(frozen=True, eq=False)
class Contest:
    """The numbers of one state of a versus panel, each for all classes.

    Attributes:
        effects: (mark, choice) float32: what each mark of the state did to each class that can be
            chosen.
        scores: (class,), as they are.
        removed: (atom, class), the scores without each atom alone; (0, class) where not known.
        edited: (atom, class), with the part of the photograph blurred where it fires; (0, class)
            where not known.
        regions: for each atom how large that part is, in words.
        table: the scores of ``tabled`` classes for every set of atoms that is left; None for none.
        tabled: which classes the columns of the table are.
    """

    effects: np.ndarray
    scores: np.ndarray
    removed: np.ndarray
    edited: np.ndarray
    regions: tuple[str, ...] = ()
    table: Switched | None = None
    tabled: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        classes = self.scores.shape
        for held in (self.removed, self.edited):
            if held.ndim != 2 or held.shape[1:] != classes:
                raise InvalidArgument(f"numbers of {held.shape} for {classes} classes")
        if self.table is not None and self.table.scores.shape[1] != len(self.tabled):
            raise InvalidArgument("a table has a column for each of its classes")


@dataclass(frozen=True)
class Versus(Panel):
    """What atoms did to one answer rather than to another; the reader chooses both.

    Attributes:
        classes: names of all classes, each its own.
        choices: which of them can be chosen.
        pair: the two that are shown first.
        head: how scores become probabilities; see ``Switched``.
        frames: a tuple of marks a frame: atoms, then remainders. Their value is the difference for
            the first pair.
        contests: the numbers of each frame.
        where: the layer, as printed in a sentence.
    """

    classes: tuple[str, ...] = ()
    choices: tuple[int, ...] = ()
    pair: tuple[int, int] = (0, 1)
    head: str = "classes"
    frames: tuple[tuple[Mark, ...], ...] = ()
    contests: tuple[Contest, ...] = ()
    where: str = ""

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes) or len(self.classes) < 2:
            raise InvalidArgument("a versus panel has two classes or more, each with its own name")
        if len(set(self.pair)) < 2 or not set(self.pair) <= set(self.choices):
            raise InvalidArgument(f"pair={self.pair}: two of the classes that can be chosen")
        for frame, contest in zip(self.frames, self.contests, strict=True):
            if contest.effects.shape != (len(frame), len(self.choices)):
                raise InvalidArgument(
                    f"effects of {contest.effects.shape} for {len(frame)} marks and "
                    f"{len(self.choices)} choices"
                )

    @property
    def bars(self) -> Bars:
        """The same as bars of the first pair: what paper shows."""
        first, second = (self.classes[place] for place in self.pair)
        values = [mark.values[0] for frame in self.frames for mark in frame]
        sizes = [value for value in values if value is not None]
        return Bars(
            title=self.title,
            caption=self.caption,
            unit=self.unit,
            follows=self.follows,
            sets=self.sets,
            highlights=self.highlights,
            left_out=self.left_out,
            told=self.told,
            sign=self.sign,
            columns=(f"for {first} rather than {second}",),
            frames=self.frames,
            domain=(min([0.0, *sizes]), max([0.0, *sizes])),
            signed=True,
            maps=True,
        )
