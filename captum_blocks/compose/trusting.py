"""How far icons deserve belief: what they do in the network, beside what photographs do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from captum_blocks.compose.evaluation.trusted import Trust, Trusted
from captum_blocks.compose.judging import PHOTOGRAPHS, Judging
from captum_blocks.compose.pictures.plan import Wanted, plan_pictures
from captum_blocks.compose.pictures.progress import Progress
from captum_blocks.compose.pictures.quality import Quality, quality_named
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import Subject, channel_subject
from captum_blocks.compose.seen import SeenPhotographs
from captum_blocks.compose.sorting import Sorting
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.examples import ExampleIndex
from captum_blocks.grammar import Hidden, Substrate
from captum_blocks.network import Network
from captum_blocks.store import Store


def trust(
    units: Substrate,
    net: Network,
    index: ExampleIndex,
    other: Network | None = None,
    meanings: bool = False,
    *,
    quality: str | Quality = "standard",
    store: Store | None = None,
    progress: bool = False,
) -> Trust:
    """How far the icons of channels deserve belief.

    An icon is optimized from noise, and a network can be made to show anything there while it
    answers photographs as before (Geirhos et al., "Don't trust your eyes", ICML 2024). So what the
    icon does in the layers on the way to its unit is compared with what the photographs do that
    excite the unit most, each where the unit stands; see ``reliability.path_similarity``. Levels
    end where ``reliability.THRESHOLDS`` says. No sign of forgery is not validity: of 60 honest
    and 66 forged icons of EfficientNet-Lite1, honest ones agree more than those of gates and
    slingshots (area under the curve .99, interval .97 to 1.00), but hardly more than those of a
    forger who trains for this measure (.67, .54 to .79), of which 19 of 22 show no sign of forgery;
    nor do 9 of 31 of slingshots that leave a unit its own detail
    (``python -m tests.benchmarks.trust``). Levels and intervals are of the photographs of this
    index and of icons of this quality: others can give another level, above all of units that
    these photographs excite little.

    Args:
        units: channels, as ``Hidden("layer3").channels[[7, 9]]``.
        net: the network.
        index: of at least fifty photographs, that has looked at the layer; one that is loaded needs
            to know where they are: ``ExampleIndex.load(path, photos="birds/")``.
        other: a second network that sees the same pictures: where it finds icon and photographs
            unlike, an icon that the first one passes is doubted.
        meanings: whether it is counted how many things each unit stands for, by clusters of the
            photographs that excite it, see ``reliability.meanings``: ``Trusted.meant`` has the
            photographs and a picture of each. Random directions of a layer have several, too, and
            it says how many of them have as many; for that some thousand photographs are looked at,
            as far as the layer.
        quality: of the icons, and their seed, as in ``explain``.
        store: where finished icons are kept; the user's cache folder unless given.
        progress: whether bars are shown.

    Raises:
        WrongType: what is no channels, network or index.
        LayerNotFound: the index has not looked at the layer.
        InvalidArgument: atoms that are no channels; an index of another network, or whose
            photographs are not there; another network whose pictures have other
            channels; a layer without places, or, with ``meanings``, without one
            before it that can be looked at.

    >>> import torch
    >>> from torch import nn
    >>> from captum_blocks.network import Preprocess
    >>> net = Network(nn.Sequential(nn.Conv2d(3, 9, 3, 2), nn.ReLU()), Preprocess(size=8))
    >>> index = ExampleIndex.build(net, list(torch.rand(9, 3, 8, 8)), ["1"], progress=False)
    >>> found = trust(Hidden("1").channels[[4]], net, index)
    >>> found[0].level, found[0].why[:50]
    ('unknown', 'the index is of 9 different photographs, and with ')
    >>> trust(Hidden("1").channels[[4]], net, index, meanings=True)[0].meant.told[:34]
    'meanings: unknown, as the index is'
    """
    layer, channels = _asked(units, net, index)
    if not isinstance(meanings, bool):
        raise WrongType(f"meanings= is True or False, not {meanings!r}")
    if other is not None and not isinstance(other, Network):
        raise WrongType(f"other= is a Network(module, ...), not a {type(other).__name__}")
    if other is not None and other.channels != net.channels:
        raise InvalidArgument(
            f"other= takes pictures of {other.channels} channels, and the network of {net.channels}"
        )
    chosen = quality_named(quality)
    renderer = PictureRenderer(net, chosen, store or Store(), Progress(progress))
    subjects = [channel_subject(layer, channel) for channel in channels]
    judging = Judging(layer, subjects, SeenPhotographs(index.bound(net)), renderer, other)
    Judging.look_together([judging])  # what cannot be looked at is said before icons are drawn
    sorting = Sorting(judging) if meanings else None
    found = judging.judged(_icons(judging.able, renderer))
    each = tuple(found) if sorting is None else tuple(_sorted(found, subjects, sorting))
    return Trust(each, measured_by(index, chosen))


def _sorted(
    found: Iterable[Trusted], subjects: Sequence[Subject], sorting: Sorting
) -> Iterator[Trusted]:
    """With the meanings of each unit."""
    for trusted, subject in zip(list(found), subjects, strict=True):
        meant = sorting.meant(subject)
        yield replace(trusted, meanings=meant.number, meant=meant)


def _icons(subjects: Sequence[Subject], renderer: PictureRenderer) -> dict[Subject, np.ndarray]:
    """From the store where it has them."""
    if not subjects:
        return {}
    drawn = renderer.draw(plan_pictures([Wanted(tuple(subjects))], len(subjects)))
    return {each: drawn[each.key].pixels for each in subjects}  # type: ignore[union-attr]


def _asked(units: Any, net: Any, index: Any) -> tuple[str, list[int]]:
    """Layer and channels, before any work."""
    if not isinstance(net, Network):
        raise WrongType(f"trust takes a Network(module, ...), not a {type(net).__name__}")
    if not isinstance(index, ExampleIndex):
        raise WrongType(f"trust takes an ExampleIndex, not a {type(index).__name__}")
    if not isinstance(units, Substrate):
        raise WrongType(
            f"trust takes channels, as Hidden('layer3').channels[[7, 9]], not {units!r}"
        )
    if units.atom != "channel" or not isinstance(units.layer, Hidden):
        raise InvalidArgument(
            f"{units!r}: icons of channels of hidden layers are judged, so far; "
            "ask for Hidden(layer).channels"
        )
    layer = net.name_of(units.layer.layer)
    width = index.tables(layer)["maximum"].shape[1]
    channels = list(range(width) if units.only is None else units.only)
    if wrong := [each for each in channels if not 0 <= each < width]:
        raise InvalidArgument(f"{layer!r} has channels 0 to {width - 1}, no {wrong[0]}")
    return layer, channels


def measured_by(index: ExampleIndex, quality: Quality) -> str:
    """What the numbers are of, in words."""
    return (
        f"icons optimized from noise at {quality.size} pixels in {quality.n_steps} steps, seed "
        f"{quality.seed}; {index.said}, of which {PHOTOGRAPHS} a unit at most"
    )
