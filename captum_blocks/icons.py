"""The icons of a layer's channels, drawn ahead of any page, and taken from machine to machine."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from os import PathLike
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from captum_blocks import __version__
from captum_blocks._paths import as_path
from captum_blocks.compose import QUALITIES, Progress, Quality, quality_named
from captum_blocks.compose.pictures.icons import OptimizedIcon, entries_of
from captum_blocks.compose.pictures.kept import Entry, description, pixels_of, png
from captum_blocks.compose.pictures.packs import MOST_ICONS, About, Pack, writing
from captum_blocks.compose.pictures.plan import Plan
from captum_blocks.compose.pictures.progress import Advance
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import Request, channel_subject, objective_of
from captum_blocks.compose.pictures.sources import Icon
from captum_blocks.errors import BlocksError, InvalidArgument
from captum_blocks.explanation import writable
from captum_blocks.network import Network
from captum_blocks.store import Store
from captum_blocks.zoo.tiles import photographs

PACKS = (".zip",)
# A semantic dictionary shows so many of the strongest channels at each position.
SHOWN = 6


class Taken(NamedTuple):
    """How many icons of a pack were taken, and how many are damaged and were left out."""

    new: int
    damaged: int


class LayerIcons:
    """The icons of some channels of a layer: the very ones that pages show.

    What is drawn is kept in the store at once, so that work which was stopped goes on later, and
    pages of any photograph find it. A pack takes icons to another machine: a zip that only a
    network of the same weights, settings and code takes anything from.

    Args:
        network: one that has preprocessing, as those of ``load_network`` have.
        layer: dotted name, or the module.
        channels: which; all unless given.
        quality: "draft", "standard" or "high", as the pages that are to show them.
        progress: show how far the work is.
        store: where icons are kept; the user's cache folder unless given.

    Raises:
        LayerNotFound: there is no such layer.
        InvalidArgument: the layer has no channels, or not these; its icons cannot be told from
            others, so that none could be found again.

    >>> from pathlib import Path
    >>> from captum_blocks.preprocessing import Preprocess
    >>> from tempfile import TemporaryDirectory
    >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), Preprocess(16))
    >>> few = {"quality": Quality(size=16, n_steps=1, budget=1), "progress": False}
    >>> with TemporaryDirectory() as folder:
    ...     here = LayerIcons(net, "1", **few, store=Store(Path(folder) / "here"))
    ...     here.export(Path(folder) / "pack.zip")
    ...     there = LayerIcons(net, "1", **few, store=Store(Path(folder) / "there"))
    ...     there.take(Path(folder) / "pack.zip"), there.missing
    4
    (Taken(new=4, damaged=0), ())
    """

    def __init__(
        self,
        network: Network,
        layer: str | nn.Module,
        channels: Sequence[int] | None = None,
        *,
        quality: str | Quality = "standard",
        progress: bool = True,
        store: Store | None = None,
    ) -> None:
        chosen = quality_named(quality)
        self.net = network
        self.layer = self.net.name_of(layer)
        self.store = store or Store()
        self.channels = self._checked(channels)
        self._renderer = PictureRenderer(self.net, chosen, self.store, Progress(progress))
        subjects = [channel_subject(self.layer, channel) for channel in self.channels]
        self._requests = OptimizedIcon().plan(subjects)
        found = entries_of(self._requests, self._renderer)
        if len(found) < len(self._requests):
            raise InvalidArgument(
                f"icons of {self.layer!r} cannot be kept: part of what they are drawn with is code "
                "of your own, which does not tell them from others"
            )
        self._entries: Mapping[int, Entry] = {
            request.subjects[0].index: found[request.keys[0]] for request in self._requests
        }

    @classmethod
    def of_pack(
        cls,
        path: str | PathLike[str],
        network: Network,
        *,
        progress: bool = True,
        store: Store | None = None,
    ) -> LayerIcons:
        """The icons of the layer, and of the quality, that a pack has: ``take`` it then.

        Raises:
            InvalidArgument: the file is no pack, or its quality is none that has a name.
            LayerNotFound: the network has no such layer.

        >>> LayerIcons.of_pack("gone.zip", Network(nn.Conv2d(3, 4, 3)))
        Traceback (most recent call last):
        captum_blocks.errors.InvalidArgument: gone.zip cannot be read: there is no such file
        """
        with Pack(as_path(path)) as pack:
            about = pack.about
        alike = [one for one in QUALITIES.values() if _made(one) == _made(about)]
        if not alike:
            raise InvalidArgument(
                f"{path} has icons of {about.size} pixels, {about.n_steps} steps and seed "
                f"{about.seed}, which is none of the qualities {', '.join(QUALITIES)}: "
                "LayerIcons(..., quality=Quality(...)).take(...) says which"
            )
        return cls(network, about.layer, quality=alike[0], progress=progress, store=store)

    @property
    def missing(self) -> tuple[int, ...]:
        """The channels whose icons the store does not have."""
        return tuple(each for each in self.channels if not self._entries[each].is_in(self.store))

    @property
    def cost(self) -> str:
        """What is still to be done, in words.

        >>> from captum_blocks.preprocessing import Preprocess
        >>> from tempfile import TemporaryDirectory
        >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), Preprocess(16))
        >>> few = Quality(size=16, n_steps=1, budget=1)
        >>> with TemporaryDirectory() as folder:
        ...     LayerIcons(net, "1", [0], quality=few, store=Store(folder)).cost
        '0 of 1 icons of 1 are kept; 1 are drawn, 16 pixels (at most 0.0 MB), 1 steps each'
        """
        left, quality = len(self.missing), self._renderer.quality
        kept = f"{len(self.channels) - left} of {len(self.channels)} icons of {self.layer} are kept"
        if not left:
            return kept
        most = left * quality.size**2 * 3 / 1e6
        return (
            f"{kept}; {left} are drawn, {quality.size} pixels (at most {most:.1f} MB), "
            f"{quality.n_steps} steps each"
        )

    def draw(self) -> int:
        """Draw what the store does not have, the most wanted first; returns how many that were.

        Ctrl-C passes through; what was finished before it is in the store.

        Raises:
            InvalidArgument: the store cannot be written to.
        """
        self.store.check_writable()
        return sum(
            isinstance(icon, Icon) and not icon.cached
            for made in self._renderer.finished(Plan(tuple(self._in_order())))
            for icon in made.values()
        )

    def export(self, path: str | PathLike[str]) -> int:
        """Draw what the store does not have, and write all icons into a pack.

        The file is there when the work is done; of work that was stopped the store keeps what was
        drawn, and the next call goes on.

        Args:
            path: of the pack, a .zip.

        Returns:
            How many icons were drawn anew.

        Raises:
            WrongType: ``path`` is no path.
            InvalidArgument: the file, or the store, cannot be written, or there are too many icons.
        """
        target = writable(path, endings=PACKS)
        if len(self.channels) > MOST_ICONS:
            raise InvalidArgument(
                f"a pack holds at most {MOST_ICONS} icons, and these are {len(self.channels)}: "
                "give fewer channels"
            )
        new = self.draw()
        with writing(target, self._about) as pack:
            for channel in self.channels:
                pixels, score = self._kept(channel)
                pack.add(self._file(channel), png(pixels), score)
        return new

    def take(self, path: str | PathLike[str]) -> Taken:
        """Take the icons that a pack has of these, and the store has not.

        Of each only its pixels and its score are taken, where its file is named after this very
        network, layer, channel and recipe. What is damaged is left out: ``missing`` tells.

        Args:
            path: of the pack.

        Returns:
            How many icons were taken, and how many are damaged.

        Raises:
            WrongType: ``path`` is no path.
            InvalidArgument: the file is no pack, is of another network, layer or recipe, has no
                icon that is whole, or the store cannot be written to.
        """
        self.store.check_writable()
        with Pack(as_path(path)) as pack:
            self._check(pack)
            missing = self.missing
            there = [each for each in missing if self._file(each) in pack.about.scores]
            with self._renderer.progress.stage("taking icons", len(there), "icons") as advance:
                taken = self.store.write_each(self._whole(there, pack, advance))
        if there and not taken:
            raise InvalidArgument(f"{path}: each of its {len(there)} icons is damaged")
        return Taken(taken, len(there) - taken)

    def _checked(self, channels: Sequence[int] | None) -> tuple[int, ...]:
        count = channel_count(self.net, self.layer)
        if channels is None:
            return tuple(range(count))
        wanted = tuple(dict.fromkeys(channels))
        odd = [one for one in wanted if type(one) is not int or not 0 <= one < count]
        if odd or not wanted:
            given = repr(odd[0]) if odd else "none"
            raise InvalidArgument(
                f"channels: {given} given; the layer has channels 0 to {count - 1}"
            )
        return wanted

    def _file(self, channel: int) -> str:
        return self._entries[channel].file_in(self.store)

    @cached_property
    def _about(self) -> About:
        """Whose icons these are; of one layer all are drawn with the same part of the network."""
        fingerprint = json.loads(next(iter(self._entries.values())).key)["network"]
        made = _made(self._renderer.quality)
        return About(self.layer, self.net.name, fingerprint, *made, versions=_versions())

    def _kept(self, channel: int) -> tuple[np.ndarray, float]:
        """Pixels (y, x, 3) and score of an icon that was drawn."""
        found = self._entries[channel].taken(self.store)
        if found is None:
            raise InvalidArgument(
                f"the icon of channel {channel} is not in {self.store.folder} any more: is the "
                f"disk full, or are {len(self.channels)} icons more than the store holds?"
            )
        return found[0], found[1][0]

    def _in_order(self) -> list[Request]:
        """What is drawn; where there is a choice what pages ask for most comes first."""
        order = most_wanted(self.net, self.layer) if len(self.missing) > 1 else []
        rank = {channel: place for place, channel in enumerate(order)}
        return sorted(self._requests, key=lambda one: rank.get(one.subjects[0].index, 0))

    def _check(self, pack: Pack) -> None:
        """Say why a pack is of no use here, if it is of none."""
        theirs, ours = pack.about, self._about
        if theirs.layer != ours.layer:
            why = f"it has icons of the layer {theirs.layer[:80]!r}, not of {ours.layer!r}"
        elif theirs.fingerprint != ours.fingerprint:
            why = (
                f"its icons are of other weights, settings or code: {theirs.network[:80]} "
                f"{theirs.fingerprint[:12]!r} ({theirs.versions[:80]}), not {ours.network} "
                f"{ours.fingerprint[:12]!r} ({ours.versions})"
            )
        elif _made(theirs) != _made(ours):
            why = f"its icons have (pixels, steps, seed) {_made(theirs)}, not {_made(ours)}"
        elif not any(self._file(channel) in theirs.scores for channel in self.channels):
            why = (
                f"it has none of these icons as they are made here: it was made by "
                f"{theirs.versions[:80]}, this is {ours.versions}"
            )
        else:
            return
        raise InvalidArgument(f"nothing is taken from {pack.path}: {why}")

    def _whole(
        self, channels: Sequence[int], pack: Pack, advance: Advance
    ) -> Iterator[tuple[str, Mapping[str, bytes], str]]:
        """What the store is to have of the icons that are whole."""
        for channel in channels:
            entry, subject = self._entries[channel], channel_subject(self.layer, channel)
            pixels = _pixels(pack.picture(self._file(channel), entry.most), entry)
            if pixels is not None:
                told = {"label": subject.label, "objective": objective_of(subject).label}
                score = float(pack.about.scores[self._file(channel)])
                about = description(self.net, entry.key, **told, score=score)
                yield entry.key, {".png": png(pixels), ".json": about}, entry.label
            advance(1)


def _pixels(picture: bytes | None, entry: Entry) -> np.ndarray | None:
    """(y, x, 3) bytes of a file, where it is a whole picture of the right size."""
    try:
        return None if picture is None else pixels_of(picture, entry.height, entry.width)
    except Exception:  # readers raise errors of every kind on what is damaged
        return None


def channel_count(net: Network, layer: str) -> int:
    """How many channels a layer has.

    Raises:
        InvalidArgument: it is none of those that can be looked at.

    >>> from captum_blocks.preprocessing import Preprocess
    >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), Preprocess(16))
    >>> channel_count(net, "1")
    4
    """
    for info in net.layers():
        if info.name == layer:
            return info.channels
    raise InvalidArgument(f"layer {layer!r} has no channels to draw")


def most_wanted(net: Network, layer: str) -> list[int]:
    """The channels of a layer, first those that pages of photographs ask for most.

    Photographs that other packages ship are looked at: a channel is asked for where it fires and is
    among the six strongest at a position, as in a semantic dictionary. That tells what other
    photographs ask of a layer in the middle of a network, and little of its last one, whose
    channels are of things that are in few photographs.

    Args:
        net: the network.
        layer: dotted name.

    Returns:
        Channels; none where no photograph can be read.

    >>> from captum_blocks.preprocessing import Preprocess
    >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), Preprocess(16))
    >>> sorted(most_wanted(net, "1"))
    [0, 1, 2, 3]
    """
    try:
        counts: torch.Tensor | None = None
        for maps in net.activations(layer, [path for _, path in photographs()], batch_size=4):
            most, which = maps.float().topk(min(SHOWN, maps.shape[1]), dim=1)
            seen = torch.bincount(which[most > 0].cpu(), minlength=maps.shape[1])
            counts = seen if counts is None else counts + seen
    except BlocksError:  # of one colour, for example
        return []
    return [] if counts is None else counts.argsort(descending=True, stable=True).tolist()


def _made(how: Quality | About) -> tuple[int, int, int]:
    """What of a quality makes one icon differ from another."""
    return how.size, how.n_steps, how.seed


def _versions() -> str:
    python = ".".join(platform.python_version_tuple()[:2])
    return f"captum_blocks {__version__}, Python {python}, torch {torch.__version__}"
