"""From the atoms of one layer to the atoms of a later one, all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.attr import _calling
from captum_blocks.attr._building import Method
from captum_blocks.attr._crops import channels_last
from captum_blocks.attr._reasons import gradients_explained
from captum_blocks.attr._visit import quiet
from captum_blocks.attr.adapter import LayerMethod
from captum_blocks.attr.atoms import AtomValues, to_atoms
from captum_blocks.attr.derivative import Derivative
from captum_blocks.attr.head import check_input
from captum_blocks.attr.segment import Segment, pulled_back, pushed_forward, share_reached
from captum_blocks.attr.sources import Parts, parts_of
from captum_blocks.attr.targets import Index, Scores, scores_of
from captum_blocks.behaviour import observed, warn_of
from captum_blocks.errors import InvalidArgument
from captum_blocks.layouts import Kind, Layout, picture_size, resolve
from captum_blocks.scores import class_scores
from captum_blocks.wrappers import check_takes_a_picture, plain, taking_a_picture

MEMORY_BUDGET = 64 * 2**20
# A backward or forward pass of one row holds about this many tensors of the larger layer.
_TENSORS_PER_ROW = 6


class LayerToLayerAttribution:
    """What each atom of a source layer does for each atom of a target layer.

    The attribution is gradient x activation, "The Building Blocks of Interpretability" (Distill
    2018, "What Does the Network See?"), or any layer method of Captum. Only the segment between
    the layers is differentiated. All rows go through it together, from the side that has less to
    do: backwards one row per target atom, a window where it reaches no further, or forwards one row
    per source atom.

    Args:
        module: the network.
        source_layer: whose atoms receive the attribution.
        target_layer: whose atoms are attributed; None for the class scores.
        source_layout: where the source keeps channels and positions; detected when None.
        target_layout: the same for the target.

    Raises:
        LayerNotFound: a layer does not exist; the nearest names are in the message.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Conv2d(2, 3, 2), nn.Flatten()).eval()
    >>> l2l = LayerToLayerAttribution(net, "0", "1")
    >>> l2l.attribute(torch.ones(1, 1, 4, 4), target_atom="spatial", source_atom="channel").shape
    torch.Size([1, 2, 2, 2])
    """

    def __init__(
        self,
        module: nn.Module,
        source_layer: str | nn.Module,
        target_layer: str | nn.Module | None = None,
        source_layout: Layout | Kind | None = None,
        target_layout: Layout | Kind | None = None,
    ) -> None:
        check_takes_a_picture(module := plain(module))
        self.module = module
        self.source_name, self.source = hooks.find_layer(module, source_layer)
        self.target_name, self.target = "the output", None
        if target_layer is not None:
            self.target_name, self.target = hooks.find_layer(module, target_layer)
        if self.source is self.target:
            raise InvalidArgument(f"layer {self.source_name!r} is both source and target")
        self.source_layout, self.target_layout = source_layout, target_layout

    def attribute(
        self,
        x: Tensor,
        target_atom: Any = None,
        source_atom: Any = "spatial",
        *,
        targets: Sequence[Index] | None = None,
        sources: Sequence[int] | None = None,
        method: Method | None = None,
        return_remainder: bool = False,
        chunk_size: int | None = None,
        **options: Any,
    ) -> Any:
        """Attribute every target atom's score to every source atom.

        The score of a position is the norm of its activation vector, of a channel its sum over
        positions, of a group the projection on its unit direction, of a class its logit.

        Args:
            x: (image, ...), what the network takes.
            target_atom: "spatial" (the default), "channel", "neuron", "whole", "tokens" or a
                fitted reducer; "class" (the default) where there is no target layer.
            source_atom: "spatial", "channel", "neuron", "whole", "tokens" or a fitted reducer.
            targets: only these target atoms: integers, or (y, x) and (channel, y, x). The result
                then has one target axis of that length.
            sources: only these source channels or groups, for passes of their own where there are
                few; what all others receive is the remainder "others".
            method: a layer method of Captum instead of gradient x activation: one run per target
                atom, slower, same shapes.
            return_remainder: also return what belongs to no source atom.
            chunk_size: rows per pass; by default what ``MEMORY_BUDGET`` bytes hold.
            options: of ``method``.

        Returns:
            (image, *target, *source); positions are two axes, y and x. With ``return_remainder``
            also a dict of (image, *target) by name: "residual" of groups, "tokens", "others".
            Sources plus remainders are the attribution of the whole source layer.

        Raises:
            InvalidArgument: the target does not depend on the source, a target is out of range, a
                reducer does not fit, activations are not finite.
            UnusableLayer: a layer runs more than once, never, or leads nowhere.
            UnknownName: there is no such atom.
            WrongType: ``x`` is no tensor, or a target no index.
            UnsupportedMethod: ``method`` cannot do it, or would take too long.
        """
        if options and method is None:
            raise InvalidArgument(
                f"{', '.join(sorted(options))}: options belong to a method, and none was given"
            )
        if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size < 1):
            raise InvalidArgument(
                f"chunk_size={chunk_size!r}; at least one row goes through at a time"
            )
        with quiet(self.module):
            images = check_input(x)
            behaviour = observed(self.module, images)
            asked = _Asked(target_atom, source_atom, targets, sources)
            found = [
                self._atoms(each, asked, method, chunk_size, options)
                for each in (images.split(1) if behaviour.apart else [images])
            ]
        warn_of([behaviour.drifts])
        data = torch.cat([part for part, _ in found])
        names = found[0][1]
        rest = {name: torch.cat([parts[name] for _, parts in found]) for name in names}
        return (data, rest) if return_remainder else data

    def _atoms(
        self,
        images: Tensor,
        asked: _Asked,
        method: Method | None,
        chunk_size: int | None,
        options: dict[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(image, *target, *source), and remainders by name, of images that may go together."""
        look = self._look(images, asked.target_atom, asked.targets)
        scores, leaf = look.scores, channels_last(look.leaf.detach())
        parts = parts_of(asked.source_atom, leaf, look.layout, asked.sources)
        moving = (
            "the class scores move" if self.target is None else f"layer {self.target_name!r} moves"
        )
        with gradients_explained(moving, f"layer {self.source_name!r}"):
            if method is not None:
                values = self._by_method(images, scores, asked, parts.layout, method, options)
            else:
                values = self._from_the_smaller_side(look, parts, chunk_size)
        shape = (len(images), *scores.shape)
        data = values.data.reshape(*shape, *parts.shape).detach()
        return data, {name: part.reshape(shape).detach() for name, part in values.remainder.items()}

    def _look(self, images: Tensor, target_atom: Any, targets: Sequence[Index] | None) -> _Look:
        segment, leaf, output = self._trace(images)
        layout = resolve(self.source_layout, leaf.shape, picture_size(images), self.source)
        layout.to_maps(leaf)
        if self.target is None:
            atom = "class" if target_atom is None else target_atom
            scores = scores_of(atom, output.detach(), None, targets)
        else:
            atom = "spatial" if target_atom is None else target_atom
            found = resolve(self.target_layout, output.shape, picture_size(images), self.target)
            scores = scores_of(atom, output.detach(), found, targets)
        return _Look(segment, leaf, output, layout, scores)

    def _trace(self, images: Tensor) -> tuple[Segment, Tensor, Tensor]:
        """One pass between the layers, which leaves a graph from the source to the target."""
        segment = Segment(self.module, self.source, self.target, images)
        with taking_a_picture(self.module):
            return (segment, *segment.traced((self.source_name, self.target_name)))

    def _from_the_smaller_side(
        self, look: _Look, parts: Parts, chunk_size: int | None
    ) -> AtomValues:
        if parts.count < len(look.scores.indices) and parts.count < self._rows_backwards(look):
            try:
                return self._forwards(look, parts, chunk_size)
            except NotImplementedError:
                # An operation that PyTorch has no forward derivative of; it has a backward one.
                pass
        return self._backwards(look, parts, chunk_size)

    def _rows_backwards(self, look: _Look) -> float:
        """How many whole maps' worth of gradients go through backwards."""
        indices = look.scores.indices
        middle = look.scores.seeds([indices[len(indices) // 2]])
        with without_gradients():
            return len(indices) * share_reached(look.derivative, middle)

    def _backwards(self, look: _Look, parts: Parts, chunk_size: int | None) -> AtomValues:
        scores, chunk = look.scores, chunk_size or _fitting(look.leaf, look.output)

        def seeds() -> Iterator[Tensor]:
            for start, end in _alike(len(scores.indices), chunk):
                yield scores.seeds(scores.indices[start:end])

        with without_gradients():
            rows = pulled_back(look.leaf, look.output, seeds(), chunk, look.derivative)
            return _joined([parts.received(gradient) for gradient in rows])

    def _forwards(self, look: _Look, parts: Parts, chunk_size: int | None) -> AtomValues:
        chunk = chunk_size or _fitting(look.leaf, look.output)
        ends, directions = (look.leaf, look.output), parts.directions()
        rows = pushed_forward(look.segment, *ends, directions, chunk, look.derivative)
        with without_gradients():
            changes = [look.scores.change(row).flatten(2) for row in rows]
        moved = torch.cat(changes).permute(1, 2, 0)
        atoms = parts.count - len(parts.remainders)
        rest = {name: moved[..., atoms + i] for i, name in enumerate(parts.remainders)}
        data = moved[..., :atoms].reshape(*moved.shape[:2], *parts.shape)
        return AtomValues(data, parts.axes, rest)

    def _by_method(
        self,
        images: Tensor,
        scores: Scores,
        asked: _Asked,
        layout: Layout,
        method: Method,
        options: dict[str, Any],
    ) -> AtomValues:
        table = _ScoreTable(self.module, self.target, scores).eval()
        run = LayerMethod(table, self.source, method, layout, **options)
        warn_of(_calling.side_by_side(observed(self.module, images), run.name), stacklevel=4)
        wanted = range(len(scores.indices))
        if isinstance(asked.source_atom, str):
            found = run.attribute(images, wanted)
            values = to_atoms(asked.source_atom, found.maps, found.tokens)
        else:
            groups = run.attribute_groups(images, wanted, asked.source_atom)
            values = to_atoms("group", groups.maps, groups.tokens, groups.residual)
        return values if asked.sources is None else values.some(asked.sources)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Which atoms are attributed, and which receive it."""

    target_atom: Any
    source_atom: Any
    targets: Sequence[Index] | None
    sources: Sequence[int] | None


@dataclass(frozen=True, eq=False)
class _Look:
    """The segment after one pass: a leaf at the source, the target's output, and its scores."""

    segment: Segment
    leaf: Tensor
    output: Tensor
    layout: Layout
    scores: Scores

    @property
    def derivative(self) -> Derivative | None:
        """Of the target's output by the leaf; None where only PyTorch's engine can follow it."""
        return self.segment.derivative(self.leaf, self.output)


class _ScoreTable(nn.Module):
    """The network as a table of target scores, (image, score), as Captum's methods want it."""

    def __init__(self, network: nn.Module, target: nn.Module | None, scores: Scores) -> None:
        super().__init__()
        self.network = network
        self._target, self._scores = (target,), scores

    @property
    def stands_for(self) -> nn.Module:
        """The network, which is known already."""
        return self.network

    def forward(self, x: Tensor) -> Tensor:
        (target,) = self._target
        if target is None:
            return self._scores.values(class_scores(self.network(x), len(x)))
        with hooks.capture({"target": target}) as seen:
            self.network(x)
        return self._scores.values(seen["target"])


def _fitting(source: Tensor, target: Tensor) -> int:
    row = max(source.numel(), target.numel()) * source.element_size() * _TENSORS_PER_ROW
    return max(1, MEMORY_BUDGET // row)


def _alike(count: int, chunk: int) -> list[tuple[int, int]]:
    """Chunks of about the same size: a small rest is slower than its share."""
    pieces = -(-count // chunk)
    return [(count * i // pieces, count * (i + 1) // pieces) for i in range(pieces)]


def _joined(found: list[AtomValues]) -> AtomValues:
    data = torch.cat([values.data for values in found], 1)
    names = found[0].remainder
    rest = {name: torch.cat([values.remainder[name] for values in found], 1) for name in names}
    return AtomValues(data, found[0].axes, rest)
