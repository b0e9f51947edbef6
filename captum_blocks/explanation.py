"""``explain``: an interface, a network, a picture -> a page, a figure, numbers."""

from __future__ import annotations

import os
import tempfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from captum_blocks._paths import absolute, as_path
from captum_blocks._pictures import Source
from captum_blocks.compose import Progress, Quality, Value, compose, quality_named
from captum_blocks.compose.evaluation import archive
from captum_blocks.compose.evaluation.facts import Answered, Exchanged, Groups
from captum_blocks.compose.evaluation.long_table import long_table
from captum_blocks.compose.evaluation.naming import names_of
from captum_blocks.compose.evaluation.others import listed, read_others
from captum_blocks.compose.evaluation.photographs import read_pictures
from captum_blocks.compose.evaluation.question import asked
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.errors import BlocksError, InvalidArgument, MissingDependency, WrongType
from captum_blocks.examples import ExampleIndex
from captum_blocks.grammar import (
    Content,
    Dataset,
    Element,
    Hidden,
    Interface,
    Substrate,
    as_interface,
    exampled,
)
from captum_blocks.network import Network, Prediction
from captum_blocks.render import html as html_page
from captum_blocks.render import mpl, notebook, still, weighing
from captum_blocks.scene import Scene
from captum_blocks.store import Store

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

    >>> import torch
    >>> from captum_blocks.grammar import Activation, InfoVis, Out
    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    >>> answer = InfoVis(Activation(Out()))
    >>> ex = explain(answer, model, torch.zeros(1, 3, 8, 8), progress=False)
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

        >>> import torch
        >>> from captum_blocks.grammar import Activation, InfoVis, Out
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(48, 2)).eval()
        >>> answer = InfoVis(Activation(Out()))
        >>> ex = explain(answer, model, torch.zeros(1, 3, 4, 4), progress=False)
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
            )
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """What a notebook shows: the widget where there is one, else the page in a frame."""
        page = {"text/html": notebook.framed(self.html())} | self._picture()
        try:
            return _forms(self.widget()) | page
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
        display(_forms(widget) | self._picture(), raw=True)
        display({"text/html": notebook.standby(self.html(), widget.token)}, raw=True)

    def __repr__(self) -> str:
        return f"Explanation({self.scene.title!r}; save('page.html') writes it)"


def _forms(widget: BlocksWidget) -> dict[str, Any]:
    shown = widget._repr_mimebundle_()
    return (shown[0] if isinstance(shown, tuple) else shown) or {}


def explain(
    interface: Interface | Element,
    network: Network | nn.Module,
    image: Source | Tensor | Sequence[Source | Tensor] | Mapping[str, Source | Tensor],
    *,
    given: Mapping[str, Any] | None = None,
    others: Any = None,
    names: Mapping[Substrate, Sequence[str]] | None = None,
    examples: ExampleIndex | None = None,
    quality: str | Quality = "standard",
    progress: bool = True,
    store: Store | None = None,
) -> Explanation:
    """Show what a network saw in a picture, and why it decided.

    Args:
        interface: what to show: a preset such as ``neuron_groups("layer4")``, or words of your own.
        network: a ``Network``, or any ``nn.Module`` together with a ready tensor. Of one that
            another thread is training give a copy, ``copy.deepcopy(model)``; see ``Network``.
        image: a path, PIL image or uint8 array; or a float tensor (image, channel, y, x) as the
            module takes it, which is rescaled for display. Several, as a list or as a dict by
            name, are explained together: groups are fitted jointly, and the page has a list to
            choose the photograph from.
        given: the objects that ``Given`` words name.
        others: at least eight other photographs: a folder, or a list of what ``image`` may be. Part
            of the answer may go around a layer that is shown: before its first number the page
            then says what happens to the answer with that layer exchanged with theirs. Without
            them, photographs that are explained together serve where there are nine or more, and
            test pictures that are made up otherwise.
        names: of groups, e.g. ``{Hidden("layer4").groups(2): ["ears", "snout"]}``; the page lets
            its reader write over them.
        examples: an index of photographs: crops of those that excite each channel and group stand
            beside its picture, further ones behind a click. They are called after its folder.
        quality: of the icons: "draft", "standard" or "high".
        progress: show what is being done, and how far it is.
        store: where finished icons are kept; the user's cache folder unless given.

    Returns:
        The explanation; ``.save("page.html")`` writes the page.

    Raises:
        BlocksError: anything that cannot be done, before long work starts.

    >>> import torch
    >>> from captum_blocks.grammar import Attribution, Hidden, InfoVis, Out
    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    >>> effect = Attribution(Hidden("1").channels, Out(1))
    >>> ex = explain(InfoVis(effect), model, torch.zeros(1, 3, 8, 8), progress=False)
    >>> ex.values[effect].data.shape
    torch.Size([1, 1, 4])
    """
    chosen = quality_named(quality)
    words, given = with_examples(as_interface(interface), dict(given or {}), examples)
    if isinstance(network, Mapping):
        raise InvalidArgument(
            f"a page is of one network, not of {', '.join(map(str, network))}: explain each by "
            "itself, or take the numbers of several with evaluate"
        )
    net = network if isinstance(network, Network) else Network(network)
    beside = [] if others is None else list(listed(others).values())
    # Before they are read, which closes files.
    sources = (*files_in(image), *files_in(beside))
    x, pictures = read_pictures(net, image)
    shape = tuple(x.shape[1:])
    renderer = PictureRenderer(net, chosen, store or Store(), Progress(progress), shape)
    question = asked(net, x, given)
    question = replace(
        question, others={None: read_others(net, others, x)}, names=names_of(names, [words])
    )
    composition = compose(words, question, pictures, renderer)
    return Explanation(
        composition.scene,
        composition.values,
        composition.predictions,
        tuple(net.labels or ()),
        sources,
        composition.exchanged,
        composition.groups,
        composition.answered,
    )


def with_examples(
    interface: Interface, given: dict[str, Any], index: ExampleIndex | None
) -> tuple[Interface, dict[str, Any]]:
    """An interface with an index's photographs beside its pictures, and the objects it names.

    Raises:
        WrongType: it is no index.
    """
    if index is None:
        return interface, given
    if not isinstance(index, ExampleIndex):
        raise WrongType(
            f"examples= takes an ExampleIndex, not {type(index).__name__}: "
            "ExampleIndex.build(net, photographs), or .load(path, photos)"
        )
    name = index.name
    while name in given:
        name += "'"
    made = exampled(interface, Dataset(name))
    if made == interface:
        raise InvalidArgument(
            "examples= stands beside pictures of channels and groups, and this interface has none "
            "that it could stand beside: add FeatureVis(...)"
        )
    return made, {**given, name: index}


def files_in(image: Any) -> tuple[Path, ...]:
    """The files that pictures are read from, wherever the current folder is later.

    Those given by their paths, and those that a PIL image was opened from.

    >>> [file.name for file in files_in({"a": "photo.jpg", "b": np.zeros((2, 2), np.uint8)})]
    ['photo.jpg']
    """
    held = list(image.values()) if isinstance(image, Mapping) else image
    several = isinstance(held, Sequence) and not isinstance(held, (str, bytes))
    paths = [_file_of(one) for one in (held if several else [held])]
    return tuple(absolute(path) for path in paths if path is not None)


def _file_of(picture: Any) -> Path | None:
    """The file that one picture comes from, where it is known."""
    name: Any = picture
    if isinstance(picture, Image.Image):
        opened = getattr(picture, "fp", None)
        name = getattr(picture, "filename", None) or getattr(opened, "name", None)
    with suppress(BlocksError):  # nothing to write over
        return as_path(name)
    return None


def writable(path: str | PathLike[str], sources: Sequence[Path] = ()) -> Path:
    """A path that an explanation can be written to.

    Args:
        path: where to.
        sources: files that are not to be written over.

    Raises:
        WrongType: ``path`` is no path.
        InvalidArgument: an unknown ending, a missing or read-only folder, one of the sources.
    """
    target = as_path(path, said="cannot write")
    if target.suffix.lower() not in (*PAGES, *FIGURES, *NUMBERS):
        endings = ", ".join((*PAGES, *FIGURES, *NUMBERS))
        raise InvalidArgument(f"cannot write {target.name!r}: its ending is none of {endings}")
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
