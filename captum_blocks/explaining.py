"""``explain``: an interface, a network, a picture -> an explanation, whole or while it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

from PIL import Image
from torch import Tensor, nn

from captum_blocks._paths import absolute, as_path
from captum_blocks._pictures import Source
from captum_blocks.compose import (
    AttributionTrust,
    Composition,
    Progress,
    Quality,
    Trust,
    compose,
    quality_named,
)
from captum_blocks.compose.evaluation.naming import names_of
from captum_blocks.compose.evaluation.others import listed, read_others
from captum_blocks.compose.evaluation.photographs import read_pictures
from captum_blocks.compose.evaluation.question import asked
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.errors import BlocksError, InvalidArgument, WrongType
from captum_blocks.examples import ExampleIndex
from captum_blocks.explanation import Explanation
from captum_blocks.grammar import (
    Dataset,
    Element,
    Interface,
    Substrate,
    as_interface,
    exampled,
)
from captum_blocks.network import Network
from captum_blocks.store import Store
from captum_blocks.streaming import Stream

Pictures = Source | Tensor | Sequence[Source | Tensor] | Mapping[str, Source | Tensor]


@overload
def explain(
    interface: Interface | Element,
    network: Network | nn.Module,
    image: Pictures,
    *,
    given: Mapping[str, Any] | None = ...,
    others: Any = ...,
    names: Mapping[Substrate, Sequence[str]] | None = ...,
    examples: ExampleIndex | None = ...,
    quality: str | Quality = ...,
    progress: bool = ...,
    store: Store | None = ...,
    stream: Literal[False] = ...,
) -> Explanation: ...


@overload
def explain(
    interface: Interface | Element,
    network: Network | nn.Module,
    image: Pictures,
    *,
    given: Mapping[str, Any] | None = ...,
    others: Any = ...,
    names: Mapping[Substrate, Sequence[str]] | None = ...,
    examples: ExampleIndex | None = ...,
    quality: str | Quality = ...,
    progress: bool = ...,
    store: Store | None = ...,
    stream: Literal[True],
) -> Stream: ...


def explain(
    interface: Interface | Element,
    network: Network | nn.Module,
    image: Pictures,
    *,
    given: Mapping[str, Any] | None = None,
    others: Any = None,
    names: Mapping[Substrate, Sequence[str]] | None = None,
    examples: ExampleIndex | None = None,
    quality: str | Quality = "standard",
    progress: bool = True,
    store: Store | None = None,
    stream: bool = False,
) -> Explanation | Stream:
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
        stream: return as soon as all numbers are there, in seconds, and draw the icons meanwhile.

    Returns:
        The explanation; ``.save("page.html")`` writes the page. With ``stream=True`` a ``Stream``:
        iterate over it, or let a notebook show it.

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
    composed = compose(words, question, pictures, renderer)
    filling = Stream((_explanation(each, net, sources) for each in composed), renderer.reader)
    return filling if stream else filling.result()


def _explanation(made: Composition, net: Network, sources: Sequence[Path]) -> Explanation:
    return Explanation(
        made.scene,
        made.values,
        made.predictions,
        tuple(net.labels or ()),
        sources,
        made.exchanged,
        made.groups,
        made.answered,
        Trust(made.trusted),
        AttributionTrust(made.weighed),
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
            "that it could stand beside: add FeatureVis(...); where one names its own "
            'Dataset("birds"), hand that over as given={"birds": index}'
        )
    return made, {**given, name: index}


def files_in(image: Any) -> tuple[Path, ...]:
    """The files that pictures are read from, wherever the current folder is later.

    Those given by their paths, and those that a PIL image was opened from.

    >>> import numpy as np
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
