"""What really changes when an atom of a layer is taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from captum.attr import LayerAttribution, PerturbationAttribution
from captum.log import log_usage
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.attr._ablating import (
    Looked,
    as_tuple,
    called_with,
    check_order,
    strongest,
    target_of,
)
from captum_blocks.attr._visit import quiet
from captum_blocks.attr.head import (
    Head,
    Probe,
    check_input,
    check_runs_once,
    check_targets,
    probe,
)
from captum_blocks.attr.odds import Score, check_score, scored
from captum_blocks.attr.reducers import Reducer, fitted_components
from captum_blocks.attr.removal import Fill, Held, check_fill
from captum_blocks.attr.removed import Cumulative, Swapped
from captum_blocks.attr.subsets import SubsetTable
from captum_blocks.attr.tail import Copy, Tail, fast_copy
from captum_blocks.behaviour import warn_of
from captum_blocks.errors import InvalidArgument
from captum_blocks.layouts import Kind, Layout, picture_size, resolve
from captum_blocks.wrappers import check_takes_a_picture, plain


class LayerAblation(LayerAttribution, PerturbationAttribution):  # type: ignore[misc]
    """How much of a score goes when an atom is taken out of a layer.

    A Captum layer attribution. The number of an atom is the score as it is minus the score without
    that atom alone, everything else of the layer staying: positive supports the class. Single
    removals do not add up: what several atoms do together is ``subsets``.

    Only what lies behind the layer runs again, many removals at once; where it cannot run alone,
    the whole network does.

    Args:
        forward_func: the network.
        layer: the layer, by dotted name or as a submodule.
        layout: where the layer keeps channels and positions; detected when None.

    Raises:
        LayerNotFound: there is no such layer.

    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 4)).eval()
    >>> LayerAblation(net, "0").attribute(torch.ones(2, 1, 3, 3), target=2).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        forward_func: nn.Module,
        layer: str | nn.Module,
        layout: Layout | Kind | None = None,
    ) -> None:
        forward_func = plain(forward_func)
        self.layer_name, found = hooks.find_layer(forward_func, layer)
        LayerAttribution.__init__(self, forward_func, found)
        self.layout = layout

    @log_usage()
    def attribute(
        self,
        inputs: Tensor,
        target: Any = None,
        additional_forward_args: Any = None,
        atom: Any = "channel",
        fill: Fill = "zero",
        score: Score = "logit",
        others: Tensor | None = None,
        perturbations_per_eval: int | None = None,
    ) -> Tensor:
        """What each atom's removal takes from a class's score.

        Args:
            inputs: (image, ...), what the network takes.
            target: a class index, or one for each image; None where there is one score only.
            additional_forward_args: further arguments of the network, as in Captum.
            atom: "channel" (over all positions), "spatial" (all channels at a position), "neuron"
                (each number), "whole", "tokens", or a fitted reducer: each group's part of the
                activation is taken away and the residual stays.
            fill: what stands in the atom's place: "zero"; "mean", of the atom over the positions
                of this image; "resample", that atom of other photographs, averaged over them; or
                a tensor of the layer's shape, or with a number for each channel.
            score: "logit", or "log-odds" of the class against all others.
            others: (photograph, ...), for "resample".
            perturbations_per_eval: removals that go through together; by default what a budget of
                memory holds.

        Returns:
            Detached: (image, channel), (image, y, x), (image, *layer) for neurons, (image,) for
            the whole layer, (image, token) or (image, group).

        Raises:
            InvalidArgument: a filling or reducer that does not fit, a class that does not exist.
            UnknownName: there is no such atom, filling or score.
            UnusableLayer: the layer never runs, or several times.
            UnsupportedMethod: it would take more than five minutes.
        """
        check_fill(fill, others)
        check_score(score)
        found = []
        with self._looking(inputs, additional_forward_args, others, perturbations_per_eval) as each:
            for image, seen in enumerate(each):
                wanted = target_of(target, image, len(inputs), seen.tail.seen.scores.shape[1])
                answers = seen.own, seen.without(atom, fill)
                found.append(_taken(answers, wanted, score, atom))
        return torch.stack(found)

    def without(
        self,
        inputs: Tensor,
        atom: Any = "channel",
        fill: Fill = "zero",
        others: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """All logits, as they are and without each atom: what ``attribute`` scores.

        Args:
            inputs: (image, ...), what the network takes.
            atom, fill, others: see ``attribute``, which also says what is raised.

        Returns:
            (image, class) and (image, filling, *atoms, class), detached; several fillings where
            other photographs were resampled.
        """
        return self._answers(inputs, fill, others, lambda seen: seen.without(atom, fill))

    def together(
        self,
        inputs: Tensor,
        sets: Sequence[Sequence[int]],
        atom: Any = "channel",
        fill: Fill = "zero",
        others: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """All logits, as they are and without all atoms of a set, for several sets.

        Args:
            inputs: (image, ...), what the network takes.
            sets: of atoms, counted through their axes.
            atom, fill, others: see ``attribute``, which also says what is raised.

        Returns:
            (image, class) and (image, filling, set, class), detached.
        """
        return self._answers(inputs, fill, others, lambda seen: seen.together(atom, fill, sets))

    def _answers(
        self, inputs: Tensor, fill: Fill, others: Tensor | None, asked: Callable[[Looked], Tensor]
    ) -> tuple[Tensor, Tensor]:
        check_fill(fill, others)
        with self._looking(inputs, None, others, None) as each:
            found = [(seen.own, asked(seen)) for seen in each]
        own, without = zip(*found, strict=True)
        return torch.stack(own), torch.stack(without)

    def removals(
        self,
        inputs: Tensor,
        targets: Sequence[int],
        additional_forward_args: Any = None,
        atom: Any = "channel",
        fill: Fill = "zero",
        score: Score = "logit",
        others: Tensor | None = None,
        perturbations_per_eval: int | None = None,
    ) -> Tensor:
        """What each atom's removal takes from several classes' scores, for the passes of one.

        What is within rounding of the scores is zero, so that atoms that do nothing are equals.

        Args:
            inputs: (image, ...), what the network takes.
            targets: class indices, the same for each image.
            additional_forward_args: and all others: see ``attribute``, whose errors these are.

        Returns:
            (image, class, *atoms), detached.
        """
        check_fill(fill, others)
        check_score(score)
        found = []
        with self._looking(inputs, additional_forward_args, others, perturbations_per_eval) as each:
            for seen in each:
                wanted = check_targets(targets, seen.tail.seen.scores.shape[1])
                answers = seen.own, seen.without(atom, fill)
                taken = [_taken(answers, each, score, atom) for each in wanted]
                least = [seen.rounding(each, score) for each in wanted]
                pairs = zip(taken, least, strict=True)
                found.append(torch.stack([torch.where(t.abs() > m, t, 0.0) for t, m in pairs]))
        return torch.stack(found)

    def cumulative(
        self,
        inputs: Tensor,
        order: Tensor,
        additional_forward_args: Any = None,
        atom: Any = "channel",
        fill: Fill = "zero",
        others: Tensor | None = None,
        points: int = 32,
        perturbations_per_eval: int | None = None,
    ) -> Cumulative:
        """What the network answers while atoms are taken away, and put back, in an order.

        Deletion and insertion of Petsiuk et al., "RISE: Randomized Input Sampling for Explanation
        of Black-box Models" (BMVC 2018), at a hidden layer.

        Args:
            inputs: (image, ...), what the network takes.
            order: (image, order, place): for each image one or several orders, each of some or all
                atoms, first to go first, counted along the atoms' axes. Others always stay.
            additional_forward_args: and atom, fill, others: see ``attribute``.
            points: at most so many shares of the atoms are looked at, none and all of them first
                and last.

        Raises:
            InvalidArgument: an order is none of these atoms, or holds one twice.
            UnsupportedMethod: it would take more than five minutes.
        """
        check_fill(fill, others)
        check_order(order, len(inputs), points)
        counts = torch.linspace(0, order.shape[2], min(points, order.shape[2] + 1)).round().long()
        found = []
        with self._looking(inputs, additional_forward_args, others, perturbations_per_eval) as each:
            for own, seen in zip(order.cpu(), each, strict=True):
                found.append(seen.cumulative(atom, fill, own, counts))
        scores = torch.stack(found)
        return Cumulative(counts / order.shape[2], scores[:, :, :, 0], scores[:, :, :, 1])

    def subsets(
        self,
        inputs: Tensor,
        reducer: Reducer,
        additional_forward_args: Any = None,
        fill: Fill = "zero",
        others: Tensor | None = None,
        perturbations_per_eval: int | None = None,
    ) -> SubsetTable:
        """Every subset of up to eight groups and the rest of the layer, and what is answered to it.

        Of more groups the eight with the largest part of the activation are taken, which is warned
        of; the others belong to the rest then, as class and register tokens do.

        Args:
            inputs: (image, ...), what the network takes.
            reducer: fitted on the layer.
            additional_forward_args: further arguments of the network, as in Captum.
            fill: what stands in the place of absent groups; see ``attribute``.
            others: (photograph, ...), for "resample".
            perturbations_per_eval: subsets that go through together.

        Raises:
            InvalidArgument: the reducer or a filling does not fit.
            UnusableLayer: the layer never runs, or several times.
            UnsupportedMethod: it would take more than five minutes.
        """
        check_fill(fill, others)
        fitted_components(reducer)
        with self._looking(inputs, additional_forward_args, others, perturbations_per_eval) as each:
            looks = list(each)
            made = [seen.groups(fill, reducer) for seen in looks]
            taken = strongest([fillings[0] for fillings in made])
            scores = [seen.subsets(own, taken) for seen, own in zip(looks, made, strict=True)]
        return SubsetTable(torch.stack(scores), taken)

    def swapped(self, inputs: Tensor, others: Tensor) -> Swapped:
        """What the network answers with this layer taken from other photographs, and put into them.

        Args:
            inputs: (image, ...), what the network takes.
            others: (photograph, ...).

        Raises:
            UnusableLayer: the layer never runs, or several times.
        """
        own, taken, put = [], [], []
        with quiet(self.forward_func):
            theirs = self._theirs(others)
        with self._looking(inputs, None, theirs, None) as each:
            for seen in each:
                own.append(seen.tail.seen.scores[0])
                taken.append(seen.with_others())
                put.append(self._put_into(others, seen))
        return Swapped(torch.stack(own), torch.stack(taken), torch.stack(put), theirs.scores)

    def _put_into(self, others: Tensor, seen: Looked) -> Tensor:
        """(photograph, class): each other's logits with the layer of an image put into it."""
        head = Head(self.forward_func, self.layer, apart=seen.tail.seen.behaviour.apart)
        own = seen.held.output
        with without_gradients():
            rows = [head(own.expand(len(x), *own.shape[1:]), x) for x in others.split(seen.step)]
        return torch.cat(rows)

    def has_convergence_delta(self) -> bool:
        """Never: single removals add up to nothing in particular."""
        return False

    @property
    def multiplies_by_inputs(self) -> bool:
        """Always: what is taken away is the atom's own value."""
        return True

    @contextmanager
    def _looking(
        self, inputs: Tensor, additional: Any, others: Tensor | Probe | None, at_once: int | None
    ) -> Iterator[Iterator[Looked]]:
        """The network ready for removals, looked at with one image after the other."""
        if at_once is not None and (not isinstance(at_once, int) or at_once < 1):
            raise InvalidArgument(f"perturbations_per_eval={at_once!r}; at least one goes through")
        images = check_input(inputs)
        check_takes_a_picture(self.forward_func, 1 + len(as_tuple(additional)))
        notes: list[str] = []
        with quiet(self.forward_func):
            seen = self._theirs(others) if isinstance(others, Tensor) else others
            theirs = None if seen is None else seen.activation
            yield (
                self._looked(images, image, additional, theirs, at_once, notes)
                for image in range(len(images))
            )
        warn_of(notes, stacklevel=5)

    def _looked(
        self,
        images: Tensor,
        image: int,
        additional: Any,
        theirs: Tensor | None,
        at_once: int | None,
        notes: list[str],
    ) -> Looked:
        looked = self._look(images, image, additional)
        notes += [note for note in looked.tail.seen.behaviour.notes if note not in notes]
        shape = looked.held.output.shape
        if theirs is not None and theirs.shape[1:] != shape[1:]:
            raise InvalidArgument(
                f"layer {self.layer_name!r} is {tuple(theirs.shape[1:])} for the other photographs "
                f"and {tuple(shape[1:])} for this one; give photographs of one size"
            )
        return replace(looked, others=theirs, images=len(images), at_once=at_once)

    def _look(self, images: Tensor, image: int, additional: Any) -> Looked:
        """One image's activation of the layer, and what lies behind it."""
        forward = called_with(self.forward_func, additional, image, len(images))
        one = images[image : image + 1]
        seen = probe(forward, self.layer, self.layer_name, one)
        check_runs_once(seen.calls, self.layer_name)
        layout = resolve(self.layout, seen.activation.shape, picture_size(one), self.layer)
        copy = None if seen.behaviour.apart else self._copy(forward)
        tail = Tail(forward, self.layer, one, seen, copy)
        return Looked(self.layer_name, tail, Held(seen.activation, layout))

    def _copy(self, forward: Callable[..., Any]) -> Copy | None:
        """A copy of the network made fast, and the layer in it."""
        return fast_copy(forward, self.layer)

    def _theirs(self, others: Tensor) -> Probe:
        return probe(self.forward_func, self.layer, self.layer_name, check_input(others))


def _taken(answers: tuple[Tensor, Tensor], target: int, score: Score, atom: Any) -> Tensor:
    """(*atoms): a score as it is minus those without each atom, averaged over fillings."""
    own, without = answers
    taken = scored(own, target, score) - scored(without, target, score).mean(0)
    return taken[0] if isinstance(atom, str) and atom == "whole" else taken
