"""A finished explanation: a page, a figure, numbers, a widget."""

from __future__ import annotations

import os
import tempfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from captum_blocks._paths import as_path
from captum_blocks.compose import AttributionTrust, Trust, Value
from captum_blocks.compose.evaluation import archive
from captum_blocks.compose.evaluation.facts import Answered, Exchanged, Groups
from captum_blocks.compose.evaluation.long_table import long_table
from captum_blocks.errors import InvalidArgument, MissingDependency
from captum_blocks.grammar import (
    Content,
    Hidden,
    Substrate,
)
from captum_blocks.network import Prediction
from captum_blocks.render import html as html_page
from captum_blocks.render import mpl, notebook, still, weighing
from captum_blocks.scene import Scene

if TYPE_CHECKING:
    from captum_blocks.render.widget import BlocksWidget

PAGES = (".html", ".htm")
FIGURES = (".png", ".svg", ".pdf")
NUMBERS = (".npz",)


@dataclass(frozen=True, eq=False)
class Explanation:
    """A finished explanation.

    Attributes:
        scene: what is drawn.
        values: the numbers behind it, keyed by content.
        predictions: the most probable classes: [(index, label, probability), ...].
        classes: names of all classes, by index, where the network has them.
        sources: files of the pictures it is made from; nothing is written over them.
        exchanged: by layer, of those that part of the answer goes around, what happens to the
            answers with the layer exchanged between photographs, see ``Exchanged``.
        groups: by their words, such as ``Hidden("layer4").groups(6)``, the directions of groups of
            channels, where they fire, and what is in none, see ``Groups``.
        answered: scores and probabilities of all classes, and the names of the photographs.
        trust: how far its icons deserve belief: of those that could be judged, see ``cb.trust``.
        attribution_trust: how far each attribution to classes deserves belief: its agreement with
            removal and other methods, and what of it is left in a network of shuffled weights.

    >>> import captum_blocks as cb
    >>> import torch
    >>> from captum_blocks.grammar import Activation, InfoVis, Out
    >>> from torch import nn
    >>> layers = [nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)]
    >>> model = nn.Sequential(*layers).eval()
    >>> answer = InfoVis(Activation(Out()))
    >>> ex = cb.explain(answer, model, torch.zeros(1, 3, 8, 8), progress=False)
    >>> round(ex.figure().get_figwidth()), len(ex.predictions)
    (7, 2)
    """

    scene: Scene
    values: Mapping[Content, Value]
    predictions: Sequence[Prediction]
    classes: Sequence[str] = ()
    sources: Sequence[Path] = ()
    exchanged: Mapping[Hidden, Exchanged] = field(default_factory=dict)
    groups: Mapping[Substrate, Groups] = field(default_factory=dict)
    answered: Answered | None = None
    trust: Trust = field(default_factory=lambda: Trust(()))
    attribution_trust: AttributionTrust = field(default_factory=lambda: AttributionTrust(()))

    def save(self, path: str | PathLike[str]) -> Path:
        """Write it as a page, a figure or numbers, by the file's ending.

        Args:
            path: ``.html`` (one file, no network needed), ``.png``, ``.svg``, ``.pdf`` or
                ``.npz`` (the numbers, under short keys; the table ``keys`` in it says of each its
                content, what it holds, its axes and its unit). The file appears whole or not at
                all.

        Raises:
            WrongType: ``path`` is no path.
            InvalidArgument: another ending, a folder that cannot be written to, the file of a
                picture that is explained, or a page with so many states that browsers would be slow
                with it.
        """
        target = writable(path, self.sources)
        try:
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".captum-blocks-") as folder:
                unfinished = Path(folder) / f"unfinished{target.suffix}"
                self._write(unfinished)
                os.replace(unfinished, target)
        except OSError as error:
            raise InvalidArgument(f"cannot write {target}: {error.strerror or error}") from error
        return target

    def to_frame(self) -> Any:
        """One long ``pandas.DataFrame`` of every number of the page, a row a number.

        Returns:
            Columns: ``content`` (its words), ``image``, ``class`` and ``class_index``; of an
            attribution to atoms of a layer ``to`` (their kind), ``to_index``, ``to_y``, ``to_x``;
            ``atom`` (its kind), ``index``, ``name``, ``y``, ``x``; ``question`` (empty, or that of
            another answer, see ``Value.also``), ``value``, ``unit``, ``remainder`` (empty, or the
            name of what no atom holds). Text that there is none of is empty, numbers are ``<NA>``.

        Raises:
            MissingDependency: pandas is not installed.

        >>> import captum_blocks as cb
        >>> import torch
        >>> from captum_blocks.grammar import Activation, InfoVis, Out
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2)).eval()
        >>> answer = InfoVis(Activation(Out()))
        >>> ex = cb.explain(answer, model, torch.zeros(1, 3, 4, 4), progress=False)
        >>> ex.to_frame()[["class", "class_index", "atom", "unit"]].values.tolist()
        [['class 0', 0, 'class', 'logit'], ['class 1', 1, 'class', 'logit']]
        """
        return long_table(self.values, self.answered)

    def figure(self) -> Figure:
        """The same scene as a matplotlib figure: each photograph, all else in its default state."""
        return mpl.figure(self.scene)

    def html(self) -> str:
        """The page as text."""
        return html_page.page(self.scene)

    def widget(self) -> BlocksWidget:
        """The page as a notebook widget whose ``selection`` follows the reader.

        Raises:
            MissingDependency: anywidget is not installed.
        """
        from captum_blocks.render.widget import BlocksWidget

        return BlocksWidget(self.scene)

    def _write(self, path: Path) -> None:
        ending = path.suffix.lower()
        if ending in PAGES:
            page = self.html()
            weighing.check_size(page, self.scene)
            path.write_text(page, encoding="utf-8")
        elif ending in NUMBERS:
            with path.open("wb") as file:  # by its name, numpy would add an ending to .NPZ
                np.savez_compressed(file, **self._arrays())
        else:
            mpl.save(self.scene, path)

    def _arrays(self) -> dict[str, Any]:
        """All numbers under short keys; "keys" says what each of them is."""
        return archive.archive(
            (
                *(() if self.answered is None else archive.of_answers(self.answered)),
                *archive.of_values(self.values),
                *archive.of_groups(self.groups),
                *archive.of_exchanges(self.exchanged),
                *archive.of_trust(self.trust),
                *archive.of_weighed(self.attribution_trust),
            )
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """What a notebook shows: the widget where there is one, else the page in a frame."""
        page = {"text/html": notebook.framed(self.html())} | self._picture()
        try:
            return forms(self.widget()) | page
        except MissingDependency:
            return page

    def _picture(self) -> dict[str, Any]:
        """What a notebook shows that has neither the widget nor pages in frames: the beginning."""
        picture = b64encode(still.png(self.scene)).decode("ascii")
        return {"text/plain": repr(self), "image/png": picture}

    def _ipython_display_(self) -> None:
        """The same in IPython, where the page outlives the widget in an output of its own."""
        from IPython.display import display

        try:
            widget = self.widget()
        except MissingDependency:
            display(self._repr_mimebundle_(), raw=True)
            return
        # Without the extension that shows widgets, the picture stands in its place.
        display(forms(widget) | self._picture(), raw=True)
        display({"text/html": notebook.standby(self.html(), widget.token)}, raw=True)

    def __repr__(self) -> str:
        return f"Explanation({self.scene.title!r}; save('page.html') writes it)"


def forms(widget: BlocksWidget) -> dict[str, Any]:
    """In which forms a notebook can show a widget."""
    shown = widget._repr_mimebundle_()
    return (shown[0] if isinstance(shown, tuple) else shown) or {}


def writable(
    path: str | PathLike[str],
    sources: Sequence[Path] = (),
    endings: Sequence[str] = (*PAGES, *FIGURES, *NUMBERS),
) -> Path:
    """A path that an explanation, or something else, can be written to.

    Args:
        path: where to.
        sources: files that are not to be written over.
        endings: that its name may have.

    Raises:
        WrongType: ``path`` is no path.
        InvalidArgument: an unknown ending, a missing or read-only folder, one of the sources.
    """
    target = as_path(path, said="cannot write")
    if target.suffix.lower() not in endings:
        known = ", ".join(endings)
        raise InvalidArgument(f"cannot write {target.name!r}: its ending is none of {known}")
    try:
        _check_place(target, sources)
        with tempfile.TemporaryFile(dir=target.parent):
            return target
    except OSError as error:
        raise InvalidArgument(
            f"cannot write {target}: {target.parent} is not writable ({error.strerror})"
        ) from error


def _check_place(target: Path, sources: Sequence[Path]) -> None:
    if not target.parent.is_dir():
        raise InvalidArgument(f"cannot write {target}: there is no folder {target.parent}")
    if target.is_dir():
        raise InvalidArgument(f"cannot write {target}: it is a folder")
    if target.exists() and not target.is_file():
        raise InvalidArgument(f"cannot write {target}: it is a device or a pipe")
    if any(_is_same(target, source) for source in sources):
        raise InvalidArgument(
            f"cannot write {target}: that is a picture which it is made from; give another name"
        )


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one file, by whatever links."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one of them is not there
        return False
